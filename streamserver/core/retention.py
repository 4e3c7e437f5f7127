"""Streams that have ended and may still be read: for a while, and in so much memory."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from providers.clock import Clock, Timer
from streamserver.log.base import Log


class HasLog(Protocol):
    """A stream, with its id and its log."""

    @property
    def id(self) -> str: ...

    @property
    def log(self) -> Log: ...


T = TypeVar("T", bound=HasLog)


class Retention(Generic[T]):
    """The ended streams that are retained, the oldest first.

    Calls ``on_forget`` with the id of each stream that leaves, and ``on_size`` with the total size of the retained logs
    in bytes after each change.

    There may be 100,000 of them, and the garbage collector looks at all of their objects at once, while nothing else
    runs. So there is one timer for all, and a tuple of a number and a text, which the collector ignores, for each.
    """

    def __init__(self, clock: Clock, on_forget: Callable[[str], None], on_size: Callable[[int], None]) -> None:
        self._clock = clock
        self._on_forget = on_forget
        self._on_size = on_size
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._expiries: list[tuple[float, str]] = []
        """A heap. Streams that were forgotten before their time leave it when they are its first."""
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self.size_bytes = 0
        """The total size of the retained logs."""

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, ended: T, *, seconds: float, max_bytes: int) -> None:
        """Retain ``ended`` for ``seconds``; evict the oldest while all take more than ``max_bytes``."""
        self._kept[ended.id] = ended
        self.size_bytes += ended.log.size_bytes
        heapq.heappush(self._expiries, (self._clock.time() + seconds, ended.id))
        while self.size_bytes > max_bytes:
            self.forget(next(iter(self._kept)))
        self._set_timer()
        self._on_size(self.size_bytes)

    def find(self, stream_id: str) -> T | None:
        return self._kept.get(stream_id)

    def forget(self, stream_id: str) -> None:
        """Remove a stream; do nothing if it is not retained."""
        ended = self._kept.pop(stream_id, None)
        if ended is not None:
            self.size_bytes -= ended.log.size_bytes
            self._drop_forgotten()
            self._on_size(self.size_bytes)
            self._on_forget(stream_id)

    def close(self) -> None:
        """Drop everything without calling ``on_forget``: a shared store keeps its own copies."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._expiries.clear()
        self._kept.clear()
        self.size_bytes = 0
        self._on_size(0)

    def _drop_forgotten(self) -> None:
        expiries = self._expiries
        while expiries and expiries[0][1] not in self._kept:
            heapq.heappop(expiries)

    def _set_timer(self) -> None:
        """Have the timer run when the next stream is to be forgotten, or earlier."""
        if not self._expiries:
            return
        due = self._expiries[0][0]
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._clock.call_at(due, self._forget_due)

    def _forget_due(self) -> None:
        self._timer = None
        now = self._clock.time()
        try:
            while self._expiries and self._expiries[0][0] <= now:
                self.forget(self._expiries[0][1])
        finally:
            self._set_timer()
