"""Clocks, which are passed as arguments: deadlines are tested without waiting."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol

TIMER_SECONDS = 0.001
"""The resolution of an event loop's timers. They are set later by this, so that they do not fire too early."""
MANY_CANCELLED = 64
"""Up to this many cancelled timers stay in the heap."""


class Timer(Protocol):
    """A scheduled call, like :class:`asyncio.TimerHandle`."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic time in seconds, and calls scheduled in it."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer: ...


class LoopClock:
    """The running event loop's clock, with one of the loop's timers for all its own.

    Every stream has a handful of deadlines, most of which never pass, and a uvloop timer for each would cost more
    than the rest of a short stream's timekeeping. So they are kept in a heap, and only the earliest has a timer.

    The time is ``time.monotonic()``, as for event loops: cheaper to read than the loop's, and finer, since
    uvloop's does not advance while a callback runs.
    """

    time = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _ScheduledCall]] = []
        self._numbers = itertools.count()
        self._cancelled = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        due = _ScheduledCall(callback, self)
        heapq.heappush(self._heap, (when, next(self._numbers), due))
        if self._alarm is None or when < self._alarm_at:
            self._arm(when)
        return due

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drop all timers: they end with their loop."""
        self._loop = loop
        self._heap.clear()
        self._cancelled = 0
        self._alarm = None

    def _arm(self, when: float) -> None:
        assert self._loop is not None
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = when
        delay = max(0.0, when - self.time()) + TIMER_SECONDS
        self._alarm = self._loop.call_later(delay, self._run_due)

    def _run_due(self) -> None:
        """Make the calls that are due, and set the alarm for the next one."""
        self._alarm = None
        now = self.time()
        heap = self._heap
        try:
            while heap and heap[0][0] <= now:
                _, _, due = heapq.heappop(heap)
                due.call()
        finally:
            self._drop_cancelled()
            # A call may have set an alarm that is later than the calls that are left.
            if self._heap and (self._alarm is None or self._heap[0][0] < self._alarm_at):
                self._arm(self._heap[0][0])

    def _drop_cancelled(self) -> None:
        """Remove the earliest timers if they are cancelled: the loop would wake up for each."""
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
            self._cancelled -= 1

    def count_cancelled(self, change: int) -> None:
        """Count a timer that is cancelled in the heap (+1), or leaves it cancelled (-1).

        Once cancelled timers are most of the heap, remove them.
        """
        self._cancelled += change
        if self._cancelled > MANY_CANCELLED and self._cancelled * 2 > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0


class _ScheduledCall:
    """A call in the heap. A cancelled one stays there without its callback, which may hold much."""

    __slots__ = ("_clock", "callback")

    def __init__(self, callback: Callable[[], object], clock: LoopClock) -> None:
        self.callback: Callable[[], object] | None = callback
        self._clock = clock

    def call(self) -> None:
        callback, self.callback = self.callback, None
        if callback is None:
            self._clock.count_cancelled(-1)
        else:
            callback()

    def cancel(self) -> None:
        if self.callback is not None:
            self.callback = None
            self._clock.count_cancelled(+1)
