"""Time as an argument, so that deadlines are tested without waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that is due; as :class:`asyncio.TimerHandle`."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic time in seconds, and calls at a time."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer: ...


class LoopClock:
    """The running event loop's timers, and the clock they go by.

    Event loops count in ``time.monotonic()``; to ask it directly is cheaper than to ask the loop, and finer:
    uvloop's own time stands still for as long as a callback runs.
    """

    time = staticmethod(time.monotonic)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_at(when, callback)
