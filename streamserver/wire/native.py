"""The native format: Server-Sent Events made for ``EventSource``.

Source for the framing: WHATWG HTML, 9.2 "Server-sent events".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import assert_never

import msgspec

from providers.base import BlockEnd, Frame, Reasoning, Text, ToolCall
from providers.jsontext import scalar, scalars
from streamserver.log.records import ContinuedText, Done, Failed, Record, Start, TokenUsage, has_stable_offset
from streamserver.wire.base import MAX_BATCH_BYTES

RETRY_MS = 1000
"""How soon a browser reconnects."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_to_json = msgspec.json.Encoder().encode


class _StartFields(msgspec.Struct, frozen=True):
    stream_id: str
    request_id: str
    provider: str
    model: str
    keepalive_seconds: float


class _DoneFields(msgspec.Struct, frozen=True):
    finish_reason: str
    provider: str
    model: str
    usage: TokenUsage | None
    ttft_ms: float | None
    duration_ms: float


class NativeEncoder:
    """``id: {stream_id}:{offset}`` on every event; text as it is, everything else as JSON."""

    keepalive = b"event: ping\ndata: {}\n\n"

    def encode(self, stream_id: str, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        if len(records) == 1:
            return _block(f"{stream_id}:{offset}", records[0]), 1
        parts: list[bytes] = []
        size = 0
        for number, record in enumerate(records, start=offset):
            block = _block(f"{stream_id}:{number}", record)
            parts.append(block)
            size += len(block)
            if size >= MAX_BATCH_BYTES:
                break
        return b"".join(parts), len(parts)

    def encode_last(self, stream_id: str, failed: Failed) -> bytes:
        return _block(f"{stream_id}:end", failed)


def _block(event_id: str, record: Record) -> bytes:
    if isinstance(record, Text):
        text = record.text
        if isinstance(record, ContinuedText):
            text = text[1:]
        if "\n" in text or "\r" in text:
            text = _LINE_END.sub("\ndata: ", text)
        block = f"id: {event_id}\ndata: {text}\n\n"
    else:
        block = _other_block(event_id, record)
    try:
        return block.encode()
    except UnicodeEncodeError:  # a provider let half of a surrogate pair through
        return scalar(block).encode()


def _other_block(event_id: str, record: Record) -> str:
    match record:
        case Reasoning():
            return _json_block("reasoning", event_id, record)
        case ToolCall():
            return _json_block("tool_call", event_id, record)
        case Start():
            fields = _StartFields(
                record.stream_id, record.request_id, record.provider, record.model, record.keepalive_seconds
            )
            return f"retry: {RETRY_MS}\n{_json_block('start', event_id, fields)}"
        case Done():
            done = _DoneFields(
                record.finish_reason, record.provider, record.model, record.usage, record.ttft_ms, record.duration_ms
            )
            return _json_block("done", event_id, done)
        case Failed():
            if not has_stable_offset(record):
                event_id = f"{event_id.rpartition(':')[0]}:end"
            return _json_block("error", event_id, record)
        case BlockEnd() | Frame() | Text():
            raise TypeError(f"the log of a native stream holds no {type(record).__name__}")
        case _:
            assert_never(record)


def _json_block(event: str, event_id: str, record: msgspec.Struct) -> str:
    try:
        data = _to_json(record)
    except UnicodeEncodeError:
        data = _to_json(scalars(msgspec.to_builtins(record)))
    return f"event: {event}\nid: {event_id}\ndata: {data.decode()}\n\n"
