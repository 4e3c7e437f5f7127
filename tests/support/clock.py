"""Time that passes only when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

from providers.clock import LoopClock

SETTLING_TURNS = 50
"""More turns of the event loop than the longest chain of wake-ups in the server."""


class FakeTimer:
    """A call that is due at ``when``."""

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """A :class:`providers.clock.Clock`. It begins far from zero, so that a time used as a duration fails a test."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._now = now
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._order = itertools.count()
        self.armed = 0
        """The number of timers that were ever set."""

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> FakeTimer:
        timer = FakeTimer(when, callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        self.armed += 1
        return timer

    @property
    def pending(self) -> int:
        """The number of timers that are set now."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass. Call each timer that becomes due, at its own time."""
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                self._now = max(self._now, when)
                timer.callback()
        self._now = end

    async def passes(self, seconds: float) -> None:
        """Call :meth:`advance` between two times at which every task has run as far as it can."""
        await settle()
        self.advance(seconds)
        await settle()


class SkippingClock(LoopClock):
    """The clock of the event loop, of which a test may skip a part."""

    def __init__(self) -> None:
        super().__init__()
        self._skipped = 0.0

    def time(self) -> float:
        return time.monotonic() + self._skipped

    def skip(self, seconds: float) -> None:
        """Let ``seconds`` be over at the next turn of the event loop."""
        self._skipped += seconds
        self.call_at(0.0, lambda: None)  # earlier than any other: the clock looks at once


async def settle() -> None:
    """Let every task run until it waits for time or the network."""
    for _ in range(SETTLING_TURNS):
        await asyncio.sleep(0)
