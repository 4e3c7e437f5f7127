"""The wire of the AI SDK's UI messages, which its hook ``useChat`` reads.

Source: the AI SDK's ``ui-message-stream`` schemas. Every chunk is checked against them: an unknown type, a null or a
wrong enum ends the chat with an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from providers.base import AnsweringModel, BlockEnd, Frame, Reasoning, Text, ToolCall
from streamserver.core.refusals import Refusal
from streamserver.log.records import Done, Failed, Record, Start
from streamserver.wire.ai_sdk_parts import Chunk, Parts
from streamserver.wire.base import Encoder, HTTPAnswer, join_batch
from streamserver.wire.error_forms import retry_headers
from streamserver.wire.events import data_event, to_json
from streamserver.wire.ids import public_hash
from streamserver.wire.problem import STATUS

NAME = "ai_sdk"
_DONE_MARKER = b"data: [DONE]\n\n"
_AI_SDK_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "content_filter": "content-filter",
}
_STATUS: Mapping[str, int] = {**STATUS, "model_not_found": 404}


class AiSdkEncoder:
    """An encoder of the chunks of one UI message.

    ``replays``: the client resumes, and its message begins empty: the chunks in the option ``earlier_chunks`` are
    repeated.
    """

    keepalive = b": keep-alive\n\n"
    offset = 0

    def __init__(self, start: Start, *, replays: bool = False) -> None:
        self._start = start
        self._earlier: Sequence[Chunk] = start.options.get("earlier_chunks") or ()
        self._replays = replays
        taken = (chunk["toolCallId"] for chunk in self._earlier if "toolCallId" in chunk)
        self._parts = Parts(public_hash(start.stream_id), taken)

    def encode(self, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        return join_batch(map(self._record, records))

    def encode_failure(self, failed: Failed) -> bytes:
        return b"".join(map(_event, self._failure(failed))) + _DONE_MARKER

    def _record(self, record: Record) -> bytes:
        chunks = b"".join(map(_event, self._chunks(record)))
        return chunks + _DONE_MARKER if isinstance(record, (Done, Failed)) else chunks

    def _chunks(self, record: Record) -> Iterator[Chunk]:
        match record:
            case Frame():
                for piece in record.pieces:
                    yield from self._parts.add(piece)
            case Text() | Reasoning() | ToolCall() | BlockEnd():
                yield from self._parts.add(record)
            case AnsweringModel():
                pass  # no chunk names the model
            case Start():
                yield from self._first()
            case Done():
                yield from self._parts.end(is_cut=record.finish_reason == "length")
                yield {"type": "finish-step"}
                yield self._finish(record)
            case Failed():
                yield from self._failure(record)

    def _first(self) -> Iterator[Chunk]:
        message_id = self._start.options.get("message_id") or f"msg_{public_hash(self._start.stream_id)}"
        yield {"type": "start", "messageId": message_id}
        if self._replays:
            yield from self._earlier
        yield {"type": "start-step"}

    def _finish(self, done: Done) -> Chunk:
        reason = "tool_calls" if done.finish_reason == "stop" and self._parts.has_calls else done.finish_reason
        chunk: Chunk = {"type": "finish", "finishReason": _AI_SDK_FINISH_REASONS.get(reason, "other")}
        if done.usage is not None:
            chunk["messageMetadata"] = {"usage": done.usage}
        return chunk

    def _failure(self, failed: Failed) -> Iterator[Chunk]:
        yield from self._parts.close_text()
        if failed.code == "cancelled":
            yield {"type": "abort", "reason": "cancelled"}
        else:
            yield {"type": "error", "errorText": failed.message}


class AiSdkWire:
    """The wire of the AI SDK's UI messages; see :class:`~streamserver.wire.base.Wire`."""

    name = NAME
    commit: Literal["at_once", "first_piece"] = "at_once"
    headers: Mapping[str, str] = {"x-vercel-ai-ui-message-stream": "v1"}
    ends_with_terminal = False

    def __init__(self, *, replays: bool = False) -> None:
        self._replays = replays

    def encoder(self, start: Start, resume_after: int | None = None) -> Encoder:
        return AiSdkEncoder(start, replays=self._replays)

    def whole(self, records: Sequence[Record]) -> HTTPAnswer:
        raise NotImplementedError("the hook reads streams only")

    def failure(self, failed: Failed) -> HTTPAnswer:
        raise NotImplementedError("a failure on this wire is a chunk")

    def refusal(self, refusal: Refusal, request_id: str) -> HTTPAnswer:
        """Return one sentence, because the hook shows the whole body to its user."""
        is_named = refusal.field is None or refusal.detail.startswith(refusal.field)
        sentence = refusal.detail if is_named else f"{refusal.field}: {refusal.detail}"
        headers = {**refusal.headers, **retry_headers(refusal), "X-Error-Code": refusal.code}
        return HTTPAnswer(_STATUS.get(refusal.code, 400), sentence.encode(), "text/plain; charset=utf-8", headers)


AI_SDK_WIRE = AiSdkWire()
AI_SDK_REPLAY_WIRE = AiSdkWire(replays=True)


def _event(chunk: Mapping[str, Any]) -> bytes:
    return data_event(to_json(chunk))
