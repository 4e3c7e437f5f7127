"""A deadline that moves.

A timer per token would cost more than the token. So each :class:`Deadline` has one timer: moving the deadline later is
a single assignment, and a timer that fires too early is set again.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from providers.clock import Clock, Timer
from providers.errors import DeadlineName, UpstreamTimeout


class Deadline:
    """A deadline that cancels the block it guards when it passes; the block then raises :class:`UpstreamTimeout`.

    Like :func:`asyncio.timeout`, but cheap to move, and it names the deadline that passed.
    If the task was cancelled by other code as well, that stays a cancellation.
    """

    __slots__ = (
        "_before",
        "_cancelled",
        "_clock",
        "_name",
        "_seconds",
        "_task",
        "_time",
        "_timer",
        "_timer_due",
        "expired",
        "suspended",
        "when",
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._time = clock.time
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self.when = 0.0
        """The clock's time at which it passes. To move it later, assign a later time."""
        self._name: DeadlineName = "total"
        self._seconds = 0.0
        self._cancelled = False
        self.expired = False
        """It has passed."""
        self.suspended = False
        """True while the guarded block is a generator that has yielded: the code that runs then is not to be
        cancelled, and a deadline that passes is only noted."""

    def set(self, name: DeadlineName, seconds: float) -> None:
        """Set the deadline, or move it, to ``seconds`` from now; the error calls it ``name``."""
        self._name = name
        self._seconds = seconds
        self.when = when = self._time() + seconds
        if self._timer is None or when < self._timer_due:
            self._arm(when)

    def resume(self) -> None:
        """End :attr:`suspended`. Raises :class:`UpstreamTimeout` if the deadline has passed meanwhile."""
        self.suspended = False
        if self.expired:
            raise UpstreamTimeout(self._name, self._seconds)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = when
        self._timer = self._clock.call_at(when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._time() < self.when:
            self._arm(self.when)
            return
        self.expired = True
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
        # Also if the block raised something else: this cancellation is over.
        only_this = self._task.uncancel() <= self._before
        if only_this and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise UpstreamTimeout(self._name, self._seconds) from None
