"""Server-Sent Events, decoded as providers send them.

A splitter for the two fields that matter here: it takes bytes as they come off the
network, however they are cut, and gives the name and the ``data`` of each complete event. The
cost is linear in the bytes, also for one event of many megabytes.

Source: WHATWG HTML, 9.2.6 "Interpreting an event stream".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import TypeAlias

from providers.errors import malformed_response, not_a_stream

ServerSentEvent: TypeAlias = tuple[str, bytes]
"""An event's name, empty if it has none, and its data. A plain tuple: one is made for every token."""

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""An event larger than this is refused: memory is bounded whatever a provider sends."""

HOLD_BYTES = 32 * 1024
"""So much of an event is kept as it came. More is read line by line as it arrives, not all at once at its end."""

# As numbers: for bytes in bytes, Python first makes and forgets an exception.
_LF, _CR = 0x0A, 0x0D
_NO_NAMES = itertools.repeat("")
_BOM = b"\xef\xbb\xbf"
_FIELD = re.compile(rb"^(data|event|id|retry)?:", re.MULTILINE)


class SSEDecoder:
    """A decoder that turns bytes into events.

    Line ends are LF, CRLF and CR. Comments, unknown fields and events without data are
    skipped; several ``data`` lines are joined with LF. An event without ``data`` has the lines that begin like a JSON
    object as its data, which is beyond the standard. An event that is not closed by a
    blank line when the stream ends is not among those of :meth:`feed`, as the standard has it.
    """

    __slots__ = ("_after_cr", "_begun", "_event", "_fruitful", "_is_stream", "_pending", "_size", "at_event")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._begun = False
        self._event: _PartialEvent | None = None
        """The lines of the present event that have been read already."""
        self._is_stream = False
        """Lines of a stream were among them."""
        self._fruitful = False
        self.at_event = False
        """An event has been found, and the next byte begins another. It stays true when a whole event is read without
        :meth:`feed`."""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that ``chunk`` completes, in order.

        Raises :class:`~providers.errors.UpstreamError` when an event passes :data:`MAX_EVENT_BYTES`.
        """
        if self.at_event and chunk[:6] == b"data: " and chunk[-2:] == b"\n\n":
            payload = chunk[6:-2]
            if _LF not in payload and _CR not in payload:
                return [("", payload)]  # a token that comes alone: one whole event of one line, and nothing else
        events = self._split(chunk)
        self.at_event = self._fruitful and not self._pending and not self._after_cr
        return events

    def unclosed_event(self) -> ServerSentEvent | None:
        """Return the event that is not complete when the stream ends, as far as it has come; None if it has no data."""
        return (self._event or _PartialEvent()).cut_off(self.rest)

    @property
    def rest(self) -> bytes:
        """What has come of an event that is not complete."""
        return b"".join(self._pending).strip()

    def end(self) -> None:
        """Raise :class:`~providers.errors.UpstreamError` if the stream, which has ended, never was one."""
        rest = self.rest
        if (rest or self._event) and not (self._fruitful or self._is_stream or _FIELD.search(rest)):
            raise not_a_stream()

    def _split(self, chunk: bytes) -> list[ServerSentEvent]:
        if not self._begun:
            chunk = self._begin(chunk)
        if self._after_cr or _CR in chunk:
            chunk = self._unify(chunk)
        if not chunk:
            return []

        pending = self._pending
        # The blank line may straddle the cut: then its first LF ends what is pending.
        straddles = bool(pending) and chunk[0] == _LF and pending[-1][-1] == _LF
        if not straddles and b"\n\n" not in chunk:
            pending.append(chunk)
            self._size += len(chunk)
            if self._size > MAX_EVENT_BYTES:
                raise malformed_response("event_too_large")
            if self._size > HOLD_BYTES and _LF in chunk:
                self._read_lines()
            return []

        if pending:
            pending.append(chunk)
            chunk = b"".join(pending)
            pending.clear()
        end = chunk.rfind(b"\n\n")
        rest = chunk[end + 2 :]
        self._size = len(rest)
        if rest:
            pending.append(rest)
        events = self._read_blocks(chunk[:end])
        self._fruitful = self._fruitful or bool(events)
        return events

    def _read_blocks(self, blocks: bytes) -> list[ServerSentEvent]:
        """Return the events in complete blocks, which blank lines separate."""
        partial, self._event = self._event, None
        if partial is None:
            if blocks[:6] == b"data: ":
                lines = blocks[6:].split(b"\n\ndata: ")
                if _LF not in b"".join(lines):
                    return list(zip(_NO_NAMES, lines, strict=False))  # a flood of tokens: all events have one line
            events: Iterable[ServerSentEvent | None] = map(_event, blocks.split(b"\n\n"))
        else:
            first, *others = blocks.split(b"\n\n")
            events = itertools.chain((partial.complete(first),), map(_event, others))
        return [event for event in events if event is not None]

    def _read_lines(self) -> None:
        """Read the complete lines of what is pending, and keep the rest with the line end before it."""
        lines, _, rest = b"".join(self._pending).rpartition(b"\n")
        self._pending[:] = [b"\n" + rest]
        self._event = self._event or _PartialEvent()
        self._event.read(lines)
        self._is_stream = self._is_stream or _FIELD.search(lines) is not None

    def _begin(self, chunk: bytes) -> bytes:
        """Return ``chunk`` without a byte order mark, which may itself be cut."""
        chunk = b"".join(self._pending) + chunk
        self._pending.clear()
        if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
            if chunk:
                self._pending.append(chunk)
            return b""
        self._begun = True
        return chunk.removeprefix(_BOM)

    def _unify(self, chunk: bytes) -> bytes:
        """Return ``chunk`` with CRLF and CR as LF, also when the cut falls between the two."""
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return b""
        self._after_cr = chunk[-1] == _CR
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class _PartialEvent:
    """An event of which some lines have been read."""

    __slots__ = ("_bare", "_data", "_name")

    def __init__(self) -> None:
        self._name = ""
        self._data: list[bytes] = []
        self._bare: list[bytes] = []

    def read(self, lines: bytes) -> None:
        name, data, bare = _fields(lines)
        if name is not None:
            self._name = name
        if data:
            self._data.append(b"\n".join(data))
        self._bare += bare

    def complete(self, lines: bytes) -> ServerSentEvent | None:
        """Read its last lines. Return the event, None if it has no data."""
        self.read(lines)
        data = self._data or self._bare
        return (self._name, b"\n".join(data)) if data else None

    def cut_off(self, lines: bytes) -> ServerSentEvent | None:
        """Read the last lines that came. Return the event, None without a field ``data``."""
        self.read(lines)
        return (self._name, b"\n".join(self._data)) if self._data else None


def begins_stream(data: bytes) -> bool:
    """Return whether ``data`` begins like an event stream."""
    return _FIELD.match(data.removeprefix(_BOM).lstrip()) is not None


def _event(block: bytes) -> ServerSentEvent | None:
    """Return the event in ``block``, its ``data`` fields joined; None if it has none."""
    name, data, bare = _fields(block)
    data = data or bare
    return (name or "", b"\n".join(data)) if data else None


def _fields(lines: bytes) -> tuple[str | None, list[bytes], list[bytes]]:
    """Return the name that ``lines`` give an event, None if they give none, their data, and lines that begin like JSON.

    The latter are the data of an event that has no other: some gateways write their own error into a stream as it is.
    """
    name, data, bare = None, [], []
    for line in lines.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ").decode(errors="replace")
        elif line[:1] == b"{":
            bare.append(line)
    return name, data, bare
