"""Time as an argument, so that deadlines are tested without waiting."""

from __future__ import annotations

import asyncio
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
    """The running event loop's own clock."""

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_at(when, callback)
