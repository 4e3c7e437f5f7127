"""The wire of the AI SDK's UI messages, which its hook ``useChat`` reads.

Source: the AI SDK's ``ui-message-stream`` schemas. Every chunk is checked against them: an unknown type, a null or a
wrong enum ends the chat with an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from providers import opaque
from providers.base import BlockEnd, Frame, Opaque, Reasoning, Text, ToolCall
from streamserver.core.refusals import Refusal as RequestRefusal
from streamserver.log.records import Done, Failed, Record, Start
from streamserver.wire.base import MAX_BATCH_BYTES, Answer, Encoder
from streamserver.wire.error_forms import retry_headers
from streamserver.wire.events import data_event, to_json
from streamserver.wire.ids import public_hash
from streamserver.wire.problem import STATUS

NAME = "ai_sdk"
_DONE_MARKER = b"data: [DONE]\n\n"
_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "content_filter": "content-filter",
}


class AiSdkEncoder:
    """Encodes the chunks of one UI message. Parts are opened before their pieces, and closed before the end.

    ``replays``: the client resumes, and its message begins empty: earlier parts of a continued message are repeated.
    """

    keepalive = b": keep-alive\n\n"
    offset = 0

    def __init__(self, start: Start, *, replays: bool = False) -> None:
        self._start = start
        self._replays = replays
        self._parts = _Parts(public_hash(start.stream_id))

    def encode(self, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        parts: list[bytes] = []
        size = count = 0
        for record in records:
            part = b"".join(map(_event, self._chunks(record)))
            if isinstance(record, (Done, Failed)):
                part += _DONE_MARKER
            parts.append(part)
            count += 1
            size += len(part)
            if size >= MAX_BATCH_BYTES:
                break
        return b"".join(parts), count

    def encode_failure(self, failed: Failed) -> bytes:
        return b"".join(map(_event, self._failure(failed))) + _DONE_MARKER

    def _chunks(self, record: Record) -> Iterator[dict[str, Any]]:
        match record:
            case Frame():
                for piece in record.pieces:
                    yield from self._parts.add(piece)
            case Text() | Reasoning() | ToolCall() | BlockEnd():
                yield from self._parts.add(record)
            case Start():
                yield from self._first()
            case Done():
                yield from self._parts.end()
                yield {"type": "finish-step"}
                yield _finish(record)
            case Failed():
                yield from self._failure(record)

    def _first(self) -> Iterator[dict[str, Any]]:
        options = self._start.options
        message_id = options.get("message_id") or f"msg_{public_hash(self._start.stream_id)}"
        yield {"type": "start", "messageId": message_id}
        if self._replays:
            for number, part in enumerate(options.get("earlier_parts") or ()):
                yield from _repeated(part, f"e{number}")
        yield {"type": "start-step"}

    def _failure(self, failed: Failed) -> Iterator[dict[str, Any]]:
        yield from self._parts.end()
        if failed.code == "cancelled":
            yield {"type": "abort", "reason": "cancelled"}
        else:
            yield {"type": "error", "errorText": failed.message}


class _Call:
    def __init__(self, piece: ToolCall, fallback_id: str) -> None:
        self.id = piece.id or fallback_id
        self.name = piece.name or ""
        self.custom = piece.custom
        self.text = ""
        self.is_open = True

    def is_complete(self) -> bool:
        try:
            return self.custom or isinstance(json.loads(self.text), dict)
        except ValueError:
            return False

    def last(self) -> dict[str, Any]:
        """Return the chunk with the whole input, or the one that says that it is no JSON."""
        chunk = {"toolCallId": self.id, "toolName": self.name}
        if self.custom:
            return {"type": "tool-input-available", **chunk, "input": self.text}
        try:
            return {"type": "tool-input-available", **chunk, "input": json.loads(self.text or "{}")}
        except ValueError:
            error = "The model's input for this tool is not valid JSON."
            return {"type": "tool-input-error", **chunk, "input": self.text, "errorText": error}


class _Parts:
    """The parts of a message: one text or reasoning part is open at a time, tool calls may interleave."""

    def __init__(self, public: str) -> None:
        self._hash = public
        self._open: tuple[str, str] | None = None
        """The kind and the id of the open part."""
        self._count = 0
        self._calls: dict[int, _Call] = {}

    def add(self, piece: Text | Reasoning | ToolCall | BlockEnd) -> Iterator[dict[str, Any]]:
        match piece:
            case ToolCall():
                yield from self._tool_call(piece)
            case BlockEnd():
                yield from self._block_end(piece)
            case Reasoning():
                yield from self._text("reasoning", piece.text)
            case Text():
                yield from self._text("text", piece.text)

    def end(self) -> Iterator[dict[str, Any]]:
        yield from self._close()
        yield from self._close_calls(only_complete=False)

    def _text(self, kind: str, text: str) -> Iterator[dict[str, Any]]:
        yield from self._ensure(kind)
        assert self._open is not None
        yield {"type": f"{kind}-delta", "id": self._open[1], "delta": text}

    def _ensure(self, kind: str) -> Iterator[dict[str, Any]]:
        if self._open is not None and self._open[0] == kind:
            return
        yield from self._close()
        yield from self._close_calls(only_complete=True)
        self._open = (kind, f"{kind[0]}{self._count}")
        self._count += 1
        yield {"type": f"{kind}-start", "id": self._open[1]}

    def _close(self, metadata: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        if self._open is not None:
            kind, part_id = self._open
            self._open = None
            more = {} if metadata is None else {"providerMetadata": {"streamserver": dict(metadata)}}
            yield {"type": f"{kind}-end", "id": part_id, **more}

    def _tool_call(self, piece: ToolCall) -> Iterator[dict[str, Any]]:
        call = self._calls.get(piece.index)
        if call is None:
            yield from self._close()
            yield from self._close_calls(only_complete=True)
            call = self._calls[piece.index] = _Call(piece, f"call_{self._hash}_{len(self._calls)}")
            yield {"type": "tool-input-start", "toolCallId": call.id, "toolName": call.name}
        if call.is_open and piece.arguments:
            call.text += piece.arguments
            yield {"type": "tool-input-delta", "toolCallId": call.id, "inputTextDelta": piece.arguments}

    def _block_end(self, end: BlockEnd) -> Iterator[dict[str, Any]]:
        if end.kind == "tool_call":
            call = self._calls.get(-1 if end.index is None else end.index)
            if call is not None and call.is_open:
                call.is_open = False
                yield call.last()
        elif end.kind == "reasoning" and end.opaque is not None:
            yield from self._ensure("reasoning")
            yield from self._close(_metadata(end.opaque))
        elif self._open is not None:
            yield from self._close()

    def _close_calls(self, *, only_complete: bool) -> Iterator[dict[str, Any]]:
        for call in self._calls.values():
            if call.is_open and (not only_complete or call.is_complete()):
                call.is_open = False
                yield call.last()


class AiSdkWire:
    """See :class:`~streamserver.wire.base.Wire`."""

    name = NAME
    commit: Literal["at_once", "first_piece"] = "at_once"
    headers: Mapping[str, str] = {"x-vercel-ai-ui-message-stream": "v1"}

    def __init__(self, *, replays: bool = False) -> None:
        self._replays = replays

    def encoder(self, start: Start, resume_after: int | None = None) -> Encoder:
        return AiSdkEncoder(start, replays=self._replays)

    def whole(self, records: Sequence[Record]) -> Answer:
        raise NotImplementedError("the hook reads streams only")

    def failure(self, failed: Failed) -> Answer:
        raise NotImplementedError("a failure on this wire is a chunk")

    def refusal(self, refusal: RequestRefusal, request_id: str) -> Answer:
        """The hook shows the whole body to its user: it is one sentence."""
        sentence = f"{refusal.field}: {refusal.detail}" if refusal.field else refusal.detail
        headers = {**refusal.headers, **retry_headers(refusal), "X-Error-Code": refusal.code}
        return Answer(STATUS.get(refusal.code, 400), sentence.encode(), "text/plain; charset=utf-8", headers)


AI_SDK_WIRE = AiSdkWire()
AI_SDK_REPLAY_WIRE = AiSdkWire(replays=True)


def _finish(done: Done) -> dict[str, Any]:
    chunk: dict[str, Any] = {"type": "finish", "finishReason": _FINISH_REASONS.get(done.finish_reason, "other")}
    if done.usage is not None:
        chunk["messageMetadata"] = {"usage": done.usage}
    return chunk


def _metadata(part: Opaque) -> dict[str, str]:
    return {"signature": opaque.seal(part)}


def _repeated(part: Mapping[str, Any], part_id: str) -> Iterator[dict[str, Any]]:
    """Yield the chunks that build up an earlier part again."""
    match part:
        case {"type": "text" | "reasoning" as kind, "text": str(text)}:
            yield {"type": f"{kind}-start", "id": part_id}
            yield {"type": f"{kind}-delta", "id": part_id, "delta": text}
            yield {"type": f"{kind}-end", "id": part_id}
        case {"type": "tool", "id": str(call_id), "name": str(name), **rest}:
            yield {"type": "tool-input-available", "toolCallId": call_id, "toolName": name, "input": rest.get("input")}
            if "error" in rest:
                yield {"type": "tool-output-error", "toolCallId": call_id, "errorText": rest["error"]}
            elif "output" in rest:
                yield {"type": "tool-output-available", "toolCallId": call_id, "output": rest["output"]}


def _event(chunk: Mapping[str, Any]) -> bytes:
    return data_event(to_json(chunk))
