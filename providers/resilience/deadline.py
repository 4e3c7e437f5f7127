"""A deadline that moves.

A timer per token would cost more than the token. So each :class:`Deadline` has one
timer and one moving deadline: moving it later is a single assignment, and only when
the timer fires does it look whether it fired too early.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from providers.clock import Clock, Timer
from providers.errors import DeadlineName, UpstreamTimeout


class Deadline:
    """Cancels the block it guards when its deadline passes; the block then raises :class:`UpstreamTimeout`.

    Like :func:`asyncio.timeout`, but cheap to move and naming the deadline that passed.
    A cancellation that came from remote_readers as well stays a cancellation.
    """

    __slots__ = (
        "_before",
        "_cancelled",
        "_clock",
        "_expired",
        "_name",
        "_seconds",
        "_task",
        "_time",
        "_timer",
        "_timer_due",
        "_when",
        "suspended",
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._time = clock.time
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._when = 0.0
        self._name: DeadlineName = "total"
        self._seconds = 0.0
        self._cancelled = False
        self._expired = False
        self.suspended = False
        """True while the guarded block is a generator that has yielded: then whoever runs is
        not ours to cancel, and the deadline is only noted."""

    def set(self, name: DeadlineName, seconds: float) -> None:
        """Set or move the deadline: ``seconds`` from now, called ``name`` in the error."""
        self._name = name
        self._seconds = seconds
        self._when = when = self._time() + seconds
        if self._timer is None or when < self._timer_due:
            self._arm(when)

    def extend(self) -> None:
        """Move the deadline later: as many seconds from now as it was given last."""
        self._when = self._time() + self._seconds

    def resume(self) -> None:
        """No longer :attr:`suspended`. Raises :class:`UpstreamTimeout` if the deadline passed meanwhile."""
        self.suspended = False
        if self._expired:
            raise UpstreamTimeout(self._name, self._seconds)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = when
        self._timer = self._clock.call_at(when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._time() < self._when:
            self._arm(self._when)
            return
        self._expired = True
        if not self.suspended:
            self._cancelled = True
            self._task.cancel()

    def __enter__(self) -> Deadline:
        task = asyncio.current_task()
        assert task is not None, "deadlines need a task to cancel"
        self._task = task
        self._before = task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._cancelled:
            return
        # Also if the block made something else of the cancellation: it was ours, and it is over.
        only_ours = self._task.uncancel() <= self._before
        if only_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise UpstreamTimeout(self._name, self._seconds) from None
