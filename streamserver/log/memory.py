"""A log in this process's memory."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence

import msgspec

from providers.base import DELTAS, AnsweringModel, BlockEnd, Frame
from streamserver.log.base import LogFull
from streamserver.log.records import RECORD_OVERHEAD_BYTES, Done, Failed, Piece, Record, Start, Terminal

_WITH_TEXT = (*DELTAS, AnsweringModel)


class MemoryLog:
    """A list of records, and the callbacks that wait for the next one. See :class:`~streamserver.log.base.Log`."""

    __slots__ = (
        "_call_soon",
        "_max_bytes",
        "_on_closed",
        "_on_proposed",
        "_waiters",
        "on_appended",
        "proposed",
        "records",
        "size_bytes",
        "start",
        "stream_id",
        "terminal",
    )

    def __init__(self, start: Start, max_bytes: float = math.inf) -> None:
        self.stream_id = start.stream_id
        self.start = start
        self.proposed: Terminal | None = None
        self.terminal: Terminal | None = None
        self.on_appended: Callable[[str], object] | None = None
        self.size_bytes = RECORD_OVERHEAD_BYTES + _options_bytes(start)
        self._max_bytes = max_bytes
        self.records: list[Record] = [start]
        self._waiters: list[Callable[[], object]] = []
        self._call_soon: Callable[[Callable[[], object]], object] | None = None
        """The event loop's method. Asking which loop runs is a system call in Python before 3.12."""
        self._on_closed: Callable[[Terminal], object] | None = None
        self._on_proposed: Callable[[], object] | None = None

    def __len__(self) -> int:
        return len(self.records)

    def append(self, record: Piece) -> bool:
        if self.proposed is not None:
            return False
        if isinstance(record, _WITH_TEXT):
            text = record.text
            size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        elif isinstance(record, Frame):
            size = len(record.data)  # its pieces are part of it
        else:
            size = _opaque_bytes(record)
        size += self.size_bytes + RECORD_OVERHEAD_BYTES
        if size > self._max_bytes:
            raise LogFull
        self.size_bytes = size
        self.records.append(record)
        if self._waiters:
            self._wake()
        on_appended = self.on_appended
        if on_appended is not None:
            self.on_appended = None
            on_appended(self.stream_id)
        return True

    def close(self, terminal: Terminal, on_closed: Callable[[Terminal], object] | None = None) -> bool:
        assert isinstance(terminal, (Done, Failed))
        if self.proposed is not None:
            return False
        self.proposed = terminal
        self.size_bytes += RECORD_OVERHEAD_BYTES
        self._on_closed = on_closed
        if self._on_proposed is None:
            self.accept(terminal)
        else:
            self._on_proposed()
        return True

    def share(self, on_proposed: Callable[[], object]) -> None:
        self._on_proposed = on_proposed

    def accept(self, terminal: Terminal) -> None:
        if self.terminal is not None:
            self.terminal = self.records[-1] = terminal
            return
        if self.proposed is None:
            self.proposed = terminal
            self.size_bytes += RECORD_OVERHEAD_BYTES
        self.terminal = terminal
        self.records.append(terminal)
        if self._waiters:
            self._wake()
        self._call_soon = self.on_appended = self._on_proposed = None
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            on_closed(terminal)

    def take(self, offset: int, limit: int) -> Sequence[Record]:
        return self.records[offset : offset + limit]

    def subscribe(self, wake: Callable[[], object]) -> None:
        self._waiters.append(wake)

    def unsubscribe(self, wake: Callable[[], object]) -> None:
        if wake in self._waiters:
            self._waiters.remove(wake)

    def _wake(self) -> None:
        call_soon = self._call_soon
        if call_soon is None:
            call_soon = self._call_soon = asyncio.get_running_loop().call_soon
        for wake in self._waiters:
            call_soon(wake)
        self._waiters.clear()


def _opaque_bytes(end: BlockEnd) -> int:
    """Return the bytes of what only a wire of the provider's protocol reads."""
    return 0 if end.opaque is None else sum(len(str(value)) for value in end.opaque.data.values())


def _options_bytes(start: Start) -> int:
    """Return what the options of a wire count for: their JSON, and an overhead for each value in it."""
    if not start.options:
        return 0
    data = msgspec.json.encode(start.options)
    return len(data) + RECORD_OVERHEAD_BYTES * sum(map(data.count, (b",", b"{", b"[")))
