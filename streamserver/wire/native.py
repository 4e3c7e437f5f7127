"""The native format: Server-Sent Events made for ``EventSource``.

Source for the framing: WHATWG HTML, 9.2 "Server-sent events".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import assert_never

import msgspec

from providers.base import AnsweringModel, BlockEnd, Frame, Reasoning, RefusalText, Text, ToolCall
from providers.jsontext import scalar
from streamserver.log.base import Log
from streamserver.log.records import ContinuedText, Done, Failed, Record, Start, TokenUsage, has_stable_offset
from streamserver.wire.base import join_batch
from streamserver.wire.events import to_json

NAME = "native"
RETRY_MS = 1000
"""How soon a browser reconnects."""

_LINE_END = re.compile(r"\r\n|\r|\n")


class StartData(msgspec.Struct, frozen=True):
    """The data of ``start``."""

    stream_id: str
    request_id: str
    provider: str
    model: str
    keepalive_seconds: float


class DoneData(msgspec.Struct, frozen=True):
    """The data of ``done``: the answer is complete. Times in milliseconds; ``ttft_ms`` is None without a token."""

    finish_reason: str
    provider: str
    model: str
    usage: TokenUsage | None
    ttft_ms: float | None
    duration_ms: float


class ErrorData(msgspec.Struct, frozen=True):
    """The data of ``error``. ``retry_after`` is in seconds; ``usage`` is None if nothing was sent to a provider."""

    code: str
    message: str
    retryable: bool
    retry_after: float | None
    request_id: str
    usage: TokenUsage | None


class NativeEncoder:
    """The encoder of streams that came on the native wire: their records are its events, and it needs no state.

    The id of an event is ``{stream_id}:{offset}``; text is sent as it is, everything else as JSON.
    """

    keepalive = b"event: ping\ndata: {}\n\n"

    def __init__(self, stream_id: str, offset: int = 0) -> None:
        self.offset = offset
        self._stream_id = stream_id

    def encode(self, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        stream_id = self._stream_id
        if len(records) == 1:
            return _block(stream_id, offset, records[0]), 1
        numbered = enumerate(records, start=offset)
        return join_batch(_block(stream_id, number, record) for number, record in numbered)

    def encode_failure(self, failed: Failed) -> bytes:
        return _block(self._stream_id, "end", failed)


class NativeFoldEncoder:
    """The encoder of streams that came on another wire: their logs also hold records that are no native events.

    Events are numbered as they are folded from the start of the log, so that the ids are the same on every replay.
    """

    keepalive = NativeEncoder.keepalive

    def __init__(self, stream_id: str, resume_after: int | None = None) -> None:
        self.offset = 0
        self._stream_id = stream_id
        self._next_number = 0
        self._first_number = 0 if resume_after is None else resume_after + 1

    def encode(self, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        return join_batch(map(self._record, records))

    def encode_failure(self, failed: Failed) -> bytes:
        return _block(self._stream_id, "end", failed)

    def _record(self, record: Record) -> bytes:
        parts: list[bytes] = []
        for event in visible(record):
            number, self._next_number = self._next_number, self._next_number + 1
            # A client past the end of a log that has ended gets the terminal event all the same.
            if number >= self._first_number or isinstance(event, (Done, Failed)):
                parts.append(_block(self._stream_id, number, event))
        return b"".join(parts)


def visible(record: Record) -> Sequence[Record]:
    """Return the records that the native wire shows of ``record``."""
    match record:
        case Frame():
            return [piece for piece in record.pieces if not isinstance(piece, BlockEnd)]
        case BlockEnd() | AnsweringModel():
            return ()
        case _:
            return (record,)


def last_number(log: Log) -> int:
    """Return the number of the last event of ``log`` so far."""
    if log.start.wire == NAME:
        return len(log) - 1
    return sum(len(visible(record)) for record in log.take(0, len(log))) - 1


def _block(stream_id: str, number: int | str, record: Record) -> bytes:
    if isinstance(record, Text):
        text = record.text
        if record.__class__ is not Text and _is_continued(record):
            text = text[1:]
        if "\n" in text or "\r" in text:
            text = _LINE_END.sub("\ndata: ", text)
        block = f"id: {stream_id}:{number}\ndata: {text}\n\n"
    else:
        block = _other_block(f"{stream_id}:{number}", record)
    try:
        return block.encode()
    except UnicodeEncodeError:  # a provider let half of a surrogate pair through
        return scalar(block).encode()


def _is_continued(text: Text) -> bool:
    return isinstance(text, ContinuedText) or (isinstance(text, RefusalText) and text.continued)


def _other_block(event_id: str, record: Record) -> str:
    match record:
        case Reasoning():
            return _json_block("reasoning", event_id, record)
        case ToolCall():
            return _json_block("tool_call", event_id, record)
        case Start():
            fields = StartData(
                record.stream_id, record.request_id, record.provider, record.model, record.keepalive_seconds
            )
            return f"retry: {RETRY_MS}\n{_json_block('start', event_id, fields)}"
        case Done():
            done = DoneData(
                record.finish_reason, record.provider, record.model, record.usage, record.ttft_ms, record.duration_ms
            )
            return _json_block("done", event_id, done)
        case Failed():
            if not has_stable_offset(record):
                event_id = f"{event_id.rpartition(':')[0]}:end"
            failed = ErrorData(
                record.code, record.message, record.retryable, record.retry_after, record.request_id, record.usage
            )
            return _json_block("error", event_id, failed)
        case BlockEnd() | Frame() | AnsweringModel() | Text():
            raise TypeError(f"the log of a native stream holds no {type(record).__name__}")
        case _:
            assert_never(record)


def _json_block(event: str, event_id: str, record: msgspec.Struct) -> str:
    return f"event: {event}\nid: {event_id}\ndata: {to_json(record).decode()}\n\n"
