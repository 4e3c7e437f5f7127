"""Streams that have ended and may still be read: for a while, and in so much memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from providers.clock import Clock
from streamserver.log.base import Log


class HasLog(Protocol):
    """A stream, with its id and its log."""

    @property
    def id(self) -> str: ...

    @property
    def log(self) -> Log: ...


T = TypeVar("T", bound=HasLog)


class _Retained(Generic[T]):
    """A retained stream, which is called when it has been retained for long enough."""

    __slots__ = ("ended", "retention", "timer")

    def __init__(self, ended: T, retention: Retention[T], clock: Clock, seconds: float) -> None:
        self.ended = ended
        self.retention = retention
        self.timer = clock.call_at(clock.time() + seconds, self)

    def __call__(self) -> None:
        self.retention.forget(self.ended.id)


class Retention(Generic[T]):
    """The ended streams that are retained, the oldest first.

    Calls ``on_forget`` with the id of each stream that leaves, and ``on_size`` with the total size of the retained logs
    in bytes after each change.

    There may be 100,000 of them, and the garbage collector looks at all of their objects at once, while nothing else
    runs: so there are few of each.
    """

    def __init__(self, clock: Clock, on_forget: Callable[[str], None], on_size: Callable[[int], None]) -> None:
        self._clock = clock
        self._on_forget = on_forget
        self._on_size = on_size
        self._kept: OrderedDict[str, _Retained[T]] = OrderedDict()
        self.size_bytes = 0
        """The total size of the retained logs."""

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, ended: T, *, seconds: float, max_bytes: int) -> None:
        """Retain ``ended`` for ``seconds``; evict the oldest while all take more than ``max_bytes``."""
        self._kept[ended.id] = _Retained(ended, self, self._clock, seconds)
        self.size_bytes += ended.log.size_bytes
        while self.size_bytes > max_bytes:
            self.forget(next(iter(self._kept)))
        self._on_size(self.size_bytes)

    def find(self, stream_id: str) -> T | None:
        retained = self._kept.get(stream_id)
        return None if retained is None else retained.ended

    def forget(self, stream_id: str) -> None:
        """Remove a stream; do nothing if it is not retained."""
        retained = self._kept.pop(stream_id, None)
        if retained is not None:
            self.size_bytes -= retained.ended.log.size_bytes
            retained.timer.cancel()
            self._on_size(self.size_bytes)
            self._on_forget(stream_id)

    def close(self) -> None:
        """Drop everything without calling ``on_forget``: a shared store keeps its own copies."""
        for retained in self._kept.values():
            retained.timer.cancel()
        self._kept.clear()
        self.size_bytes = 0
        self._on_size(0)
