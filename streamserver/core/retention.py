"""Streams that have ended and may still be read: for a while, and in so much memory."""

from __future__ import annotations

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
    """

    def __init__(self, clock: Clock, on_forget: Callable[[str], None], on_size: Callable[[int], None]) -> None:
        self._clock = clock
        self._on_forget = on_forget
        self._on_size = on_size
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._expiries: dict[str, Timer] = {}
        self.size_bytes = 0
        """The total size of the retained logs."""

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, ended: T, *, seconds: float, max_bytes: int) -> None:
        """Retain ``ended`` for ``seconds``; evict the oldest while all take more than ``max_bytes``."""
        self._kept[ended.id] = ended
        self.size_bytes += ended.log.size_bytes
        self._expiries[ended.id] = self._clock.call_at(self._clock.time() + seconds, lambda: self.forget(ended.id))
        while self.size_bytes > max_bytes:
            self.forget(next(iter(self._kept)))
        self._on_size(self.size_bytes)

    def find(self, stream_id: str) -> T | None:
        return self._kept.get(stream_id)

    def forget(self, stream_id: str) -> None:
        """Remove a stream; do nothing if it is not retained."""
        ended = self._kept.pop(stream_id, None)
        if ended is not None:
            self.size_bytes -= ended.log.size_bytes
            self._expiries.pop(stream_id).cancel()
            self._on_size(self.size_bytes)
            self._on_forget(stream_id)

    def close(self) -> None:
        """Drop everything without calling ``on_forget``: a shared store keeps its own copies."""
        for timer in self._expiries.values():
            timer.cancel()
        self._expiries.clear()
        self._kept.clear()
        self.size_bytes = 0
        self._on_size(0)
