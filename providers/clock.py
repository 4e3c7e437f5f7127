"""Time as an argument, so that deadlines are tested without waiting."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol

TIMER_SECONDS = 0.001
"""The resolution of an event loop's timers: so much later they are set, not to fire too early."""
MANY_CANCELLED = 64
"""Up to so many cancelled timers are left alone."""


class Timer(Protocol):
    """A call that is due; as :class:`asyncio.TimerHandle`."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic time in seconds, and calls at a time."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer: ...


class LoopClock:
    """The running event loop's time, all timers over one of the loop's.

    Every stream has a handful of deadlines, of which hardly any ever passes; a timer of uvloop's for each costs
    more than all else that a short stream does with its time. So they are a heap here, of which only the
    earliest is a timer of the loop.

    The time is ``time.monotonic()``, which event loops count in: cheaper to ask than the loop, and finer, since
    uvloop's own stands still for as long as a callback runs.
    """

    time = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Due]] = []
        self._numbers = itertools.count()
        self._cancelled = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        due = _Due(callback, self)
        heapq.heappush(self._heap, (when, next(self._numbers), due))
        if self._alarm is None or when < self._alarm_at:
            self._arm(when)
        return due

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Timers end with their loop."""
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
        self._alarm = self._loop.call_later(delay, self._ring)

    def _ring(self) -> None:
        """Call what is due, and set the alarm for what is next."""
        self._alarm = None
        now = self.time()
        heap = self._heap
        try:
            while heap and heap[0][0] <= now:
                _, _, due = heapq.heappop(heap)
                due.call()
        finally:
            # What was called may have set an alarm, for something later than what is left.
            if self._heap and (self._alarm is None or self._heap[0][0] < self._alarm_at):
                self._arm(self._heap[0][0])

    def count_cancelled(self, change: int) -> None:
        """Told by each timer that is cancelled in the heap (+1), or leaves it so (-1).

        Once they are most of the heap, they are taken out of it.
        """
        self._cancelled += change
        if self._cancelled > MANY_CANCELLED and self._cancelled * 2 > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0


class _Due:
    """A call in the heap. Cancelled, it stays there without its callback, and so without what that holds."""

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
