"""Deadlines: first token, between tokens, and in all.

A timer per token would cost more than the token. So each :class:`Expiry` has one
timer and one moving deadline: moving it later is a single assignment, and only when
the timer fires does it look whether it fired too early.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType

from providers.base import ChatRequest, Event, Finish, Provider, Reasoning, Text, ToolCall
from providers.clock import Clock, LoopClock, Timer
from providers.errors import Deadline, UpstreamTimeout


class Expiry:
    """Cancels the block it guards when its deadline passes; the block then raises :class:`UpstreamTimeout`.

    Like :func:`asyncio.timeout`, but cheap to move and naming the deadline that passed.
    A cancellation that came from elsewhere as well stays a cancellation.
    """

    __slots__ = (
        "_before",
        "_cancelled",
        "_clock",
        "_expired",
        "_name",
        "_seconds",
        "_task",
        "_timer",
        "_timer_due",
        "_when",
        "suspended",
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._when = 0.0
        self._name: Deadline = "total"
        self._seconds = 0.0
        self._expired = False
        self._cancelled = False
        self.suspended = False
        """True while the guarded block is a generator that has yielded: then whoever runs is
        not ours to cancel, and the deadline is only noted."""

    def within(self, name: Deadline, seconds: float) -> None:
        """Set or move the deadline: ``seconds`` from now, called ``name`` in the error."""
        self._name = name
        self._seconds = seconds
        self._when = when = self._clock.time() + seconds
        if self._timer is None or when < self._timer_due:
            self._arm(when)

    def check(self) -> None:
        """Raise if the deadline passed while :attr:`suspended`."""
        if self._expired:
            raise UpstreamTimeout(self._name, self._seconds)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = when
        self._timer = self._clock.call_at(when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._clock.time() < self._when:
            self._arm(self._when)
            return
        self._expired = True
        if not self.suspended:
            self._cancelled = True
            self._task.cancel()

    def __enter__(self) -> Expiry:
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


class Deadlines:
    """A provider whose first token and whose every next one must come in time.

    Text, reasoning and tool calls count as tokens; a provider's pings, usage and
    headers do not, so that a server which only keeps the line open is found out.
    """

    def __init__(self, provider: Provider, *, first_token: float, idle: float, clock: Clock | None = None) -> None:
        self._provider = provider
        self._first_token = first_token
        self._idle = idle
        self._clock = clock or LoopClock()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        idle = self._idle
        with Expiry(self._clock) as expiry:
            expiry.within("first_token", self._first_token)
            async with aclosing(self._provider.stream(request)) as events:
                async for event in events:
                    if isinstance(event, (Text, Reasoning, ToolCall, Finish)):
                        expiry.within("idle", idle)
                    expiry.suspended = True
                    yield event
                    expiry.suspended = False
                    expiry.check()

    async def aclose(self) -> None:
        await self._provider.aclose()
