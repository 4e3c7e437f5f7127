"""The wire of Anthropic's Messages: events, whole messages and errors.

Source: Anthropic's API reference, "Messages" and "Streaming Messages", and the sources of the SDKs that read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from providers import opaque
from providers.base import BlockEnd, Frame, Opaque, Reasoning, Refusal, Text, ToolCall
from streamserver.core.refusals import Refusal as RequestRefusal
from streamserver.log.records import Done, Failed, Record, Start
from streamserver.wire.base import MAX_BATCH_BYTES, Answer, Encoder
from streamserver.wire.error_forms import ANTHROPIC, retry_headers
from streamserver.wire.events import named_event, to_json
from streamserver.wire.ids import public_hash
from streamserver.wire.messages_usage import NO_USAGE, usage_fields
from streamserver.wire.messages_whole import whole_message

NAME = "messages"

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_OWN_REASONS = frozenset({"pause_turn", "model_context_window_exceeded"})
"""Reasons of Anthropic's own, which are passed on as they are."""
_PROMPT_TOO_LONG = "prompt is too long"
"""Clients recognise the error by these words."""


class MessagesEncoder:
    """Encodes the events of one message.

    A provider's own frames are replayed as they came. Everything else is translated: blocks are numbered in the order
    in which they are opened, and one is open at a time.
    """

    keepalive = b'event: ping\ndata: {"type":"ping"}\n\n'
    offset = 0

    def __init__(self, start: Start) -> None:
        self._start = start
        self._hash = public_hash(start.stream_id)
        self._started = False
        self._replayed = False
        self._stopped = False
        self._refused = False
        self._blocks = _Blocks(self._hash)

    def encode(self, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        parts: list[bytes] = []
        size = count = 0
        for record in records:
            part = self._record(record)
            parts.append(part)
            count += 1
            size += len(part)
            if size >= MAX_BATCH_BYTES:
                break
        return b"".join(parts), count

    def encode_failure(self, failed: Failed) -> bytes:
        return _event("error", {"error": error_fields(failed), "request_id": failed.request_id})

    def _record(self, record: Record) -> bytes:
        match record:
            case Frame():
                return self._frame(record)
            case Text() | Reasoning() | ToolCall() | BlockEnd():
                return self._translated(record)
            case Start():
                return b""
            case Done():
                return self._done(record)
            case Failed():
                return self.encode_failure(record)

    def _frame(self, frame: Frame) -> bytes:
        if frame.protocol != NAME:
            return b"".join(map(self._translated, frame.pieces))
        self._replayed = True
        self._stopped = self._stopped or frame.type == "message_stop"
        return named_event(frame.type, frame.data)

    def _translated(self, piece: Text | Reasoning | ToolCall | BlockEnd) -> bytes:
        self._refused = self._refused or isinstance(piece, Refusal)
        return self._message_start() + self._blocks.add(piece)

    def _message_start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        message: dict[str, Any] = {
            "id": f"msg_{self._hash}",
            "type": "message",
            "role": "assistant",
            "model": self._start.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": NO_USAGE,
        }
        return _event("message_start", {"message": message})

    def _done(self, done: Done) -> bytes:
        if self._replayed:
            return b"" if self._stopped else _event("message_stop", {})
        delta = {
            "stop_reason": "refusal" if self._refused else stop_reason(done),
            "stop_sequence": done.stop_sequence,
            "stop_details": None,
        }
        return b"".join(
            (
                self._message_start(),
                self._blocks.end(),
                _event("message_delta", {"delta": delta, "usage": usage_fields(done)}),
                _event("message_stop", {}),
            )
        )


class _Call:
    """A tool call that is being translated."""

    def __init__(self, piece: ToolCall, fallback_id: str) -> None:
        self.id = piece.id or fallback_id
        self.name = piece.name or ""
        self.arguments = ""
        self.closed = False

    def is_complete(self) -> bool:
        try:
            return isinstance(json.loads(self.arguments), dict)
        except ValueError:
            return False


class _Blocks:
    """The content blocks of a translated message, of which one is open at a time."""

    def __init__(self, public: str) -> None:
        self._hash = public
        self._next_index = 0
        self._open: str | int | None = None
        """The kind of the open block, or the index of its tool call."""
        self._calls: dict[int, _Call] = {}
        self._held: dict[int, list[str]] = {}
        """Pieces of calls that the provider interleaves with the open one, in the order of their first pieces."""

    def add(self, piece: Text | Reasoning | ToolCall | BlockEnd) -> bytes:
        match piece:
            case ToolCall():
                return self._tool_call(piece)
            case BlockEnd():
                return self._block_end(piece)
            case Reasoning():
                return self._text("thinking", "thinking_delta", piece.text, {"signature": ""})
            case Text():
                return self._text("text", "text_delta", piece.text, {})

    def end(self) -> bytes:
        """Close the open block, and write the calls that were held."""
        parts = [self._close()]
        for index in list(self._held):
            parts += [self._open_call(index), self._close()]
        return b"".join(parts)

    def _text(self, kind: str, delta: str, text: str, more: Mapping[str, Any]) -> bytes:
        head = b"" if self._open == kind else self._close() + self._start(kind, {"type": kind, kind: "", **more})
        return head + self._delta({"type": delta, kind: text})

    def _tool_call(self, piece: ToolCall) -> bytes:
        index = piece.index
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = _Call(piece, f"toolu_{self._hash}_{len(self._calls)}")
        if call.closed:
            return b""  # its block is written: a piece behind it has no place
        call.id, call.name = piece.id or call.id, piece.name or call.name
        call.arguments += piece.arguments
        if self._open == index:
            return self._delta({"type": "input_json_delta", "partial_json": piece.arguments}) + self._release()
        open_call = self._calls.get(self._open) if isinstance(self._open, int) else None
        self._held.setdefault(index, []).append(piece.arguments)
        if open_call is not None and not open_call.is_complete():
            return b""
        return self._close() + self._release()

    def _release(self) -> bytes:
        """Write the calls that were held, as long as the open one is complete."""
        parts = []
        while self._held:
            open_call = self._calls.get(self._open) if isinstance(self._open, int) else None
            if open_call is not None and not open_call.is_complete():
                break
            parts += [self._close(), self._open_call(next(iter(self._held)))]
        return b"".join(parts)

    def _open_call(self, index: int) -> bytes:
        call = self._calls[index]
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        text = "".join(self._held.pop(index))
        return self._start(index, block) + self._delta({"type": "input_json_delta", "partial_json": text})

    def _block_end(self, end: BlockEnd) -> bytes:
        if end.opaque is not None:
            return self._opaque(end.opaque)
        kind = {"reasoning": "thinking", "refusal": "text", "tool_call": end.index}.get(end.kind, end.kind)
        if self._open is None or self._open != kind:
            return b""
        return self._close() + self._release()

    def _opaque(self, part: Opaque) -> bytes:
        match part.data:
            case {"data": str(data)} if part.protocol == NAME:
                return self._close() + self._start("", {"type": "redacted_thinking", "data": data}) + self._close()
            case {"signature": str(data)} if part.protocol == NAME:
                signature = data
            case _:
                signature = opaque.seal(part)
        # One whole delta: the SDKs replace the signature, they do not append to it.
        delta = {"type": "signature_delta", "signature": signature}
        head = b""
        if self._open != "thinking":
            head = self._close() + self._start("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        return head + self._delta(delta) + self._close()

    def _start(self, key: str | int, block: Mapping[str, Any]) -> bytes:
        self._open = key
        return _event("content_block_start", {"index": self._next_index, "content_block": block})

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._next_index, "delta": delta})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        if isinstance(self._open, int):
            self._calls[self._open].closed = True
        self._open = None
        index, self._next_index = self._next_index, self._next_index + 1
        return _event("content_block_stop", {"index": index})


class MessagesWire:
    """See :class:`~streamserver.wire.base.Wire`."""

    name = NAME
    commit: Literal["at_once", "first_piece"] = "first_piece"
    headers: Mapping[str, str] = {}

    def encoder(self, start: Start, resume_after: int | None = None) -> Encoder:
        return MessagesEncoder(start)

    def whole(self, records: Sequence[Record]) -> Answer:
        message = whole_message(_events_of(records))
        done = records[-1]
        if isinstance(done, Done):
            message["model"] = done.model  # what the provider reported, which a stream's first event may not know
        return Answer(200, to_json(message))

    def failure(self, failed: Failed) -> Answer:
        body = {"type": "error", "error": error_fields(failed), "request_id": failed.request_id}
        return Answer(ANTHROPIC[failed.code].status, to_json(body), headers=retry_headers(failed))

    def refusal(self, refusal: RequestRefusal, request_id: str) -> Answer:
        form = ANTHROPIC[refusal.code]
        message = f"{refusal.field}: {refusal.detail}" if refusal.field else refusal.detail
        body = {"type": "error", "error": {"type": form.type, "message": message}, "request_id": request_id}
        headers = {**refusal.headers, **retry_headers(refusal)}
        return Answer(form.status, to_json(body), headers=headers)


MESSAGES_WIRE = MessagesWire()


def stop_reason(done: Done) -> str:
    """Return Anthropic's word for the end of an answer."""
    if done.provider_reason in _OWN_REASONS:
        return done.provider_reason or ""
    if done.finish_reason == "stop" and done.stop_sequence is not None:
        return "stop_sequence"
    return _STOP_REASONS.get(done.finish_reason, "end_turn")


def error_fields(failed: Failed) -> dict[str, str]:
    """Return the ``error`` object of a failure."""
    message = failed.message
    if failed.code == "context_length":
        message = f"{_PROMPT_TOO_LONG}: {message}"
    return {"type": ANTHROPIC[failed.code].type, "message": message}


def _event(name: str, fields: Mapping[str, Any]) -> bytes:
    return named_event(name, to_json({"type": name, **fields}))


def _events_of(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Yield the data of the events that a stream of ``records`` has."""
    assert isinstance(records[0], Start)
    encoder = MessagesEncoder(records[0])
    offset = 0
    while offset < len(records):
        data, count = encoder.encode(offset, records[offset:])
        offset += count
        for line in data.split(b"\n"):
            if line.startswith(b"data: "):
                yield msgspec.json.decode(line[6:])
