"""The wire of OpenAI's chat completions: chunks, whole completions and errors.

Source: OpenAI's API reference, "Chat completions", and the sources of the SDKs that read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from providers import opaque
from providers.base import BlockEnd, Frame, Reasoning, Refusal, Text, ToolCall
from streamserver.core.refusals import Refusal as RequestRefusal
from streamserver.log.records import Done, Failed, Record, Start
from streamserver.wire.base import MAX_BATCH_BYTES, Answer, Encoder
from streamserver.wire.chat_usage import usage_fields
from streamserver.wire.chat_whole import whole_completion
from streamserver.wire.events import data_event, to_json
from streamserver.wire.ids import public_hash
from streamserver.wire.openai_errors import error_fields, failure_answer, refusal_answer

NAME = "chat"
_DETAILS = "reasoning_details"
"""What a provider wants back with a call, but beside it, in the turn."""
DONE_MARKER = b"data: [DONE]\n\n"


class ChatEncoder:
    """Encodes the chunks of one completion.

    A provider's own frames are replayed as they came, everything else is translated.
    """

    keepalive = b":\n"
    offset = 0

    def __init__(self, start: Start) -> None:
        self._id = public_hash(start.stream_id)
        self._include_usage = bool(start.options.get("include_usage"))
        head = to_json(
            {
                "id": f"chatcmpl-{self._id}",
                "object": "chat.completion.chunk",
                "created": start.created,
                "model": start.options.get("model") or start.model,
            }
        )
        self._head = b'data: %b,"choices":' % head[:-1]
        self._has_role = False
        self._replayed = False
        self._calls_seen = False
        self._usage_sent = False
        self._calls: dict[int, int] = {}
        """Index of a provider's call → index of ours: from 0 without gaps, in order of the first piece."""

    def encode(self, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        if len(records) == 1:
            return self._record(records[0]), 1
        parts: list[bytes] = []
        size = 0
        for record in records:
            part = self._record(record)
            parts.append(part)
            size += len(part)
            if size >= MAX_BATCH_BYTES:
                break
        return b"".join(parts), len(parts)

    def encode_failure(self, failed: Failed) -> bytes:
        return data_event(to_json({"error": error_fields(failed, messages_field="messages", with_param=False)}))

    def _record(self, record: Record) -> bytes:
        match record:
            case Frame():
                return self._frame(record)
            case Text() | Reasoning() | ToolCall():
                return self._piece(record)
            case BlockEnd():
                return self._block_end(record)
            case Start():
                return b""
            case Done():
                return self._done(record)
            case Failed():
                return self.encode_failure(record)

    def _frame(self, frame: Frame) -> bytes:
        if frame.protocol != NAME:
            return b"".join(map(self._record, frame.pieces))
        self._replayed = self._has_role = True
        self._calls_seen = self._calls_seen or any(isinstance(piece, ToolCall) for piece in frame.pieces)
        data = frame.data
        if b'"usage"' in data or b'"obfuscation"' in data or (self._calls_seen and b'"stop"' in data):
            return self._rewritten(data)
        return b"data: %b\n\n" % data

    def _rewritten(self, data: bytes) -> bytes:
        """Return a chunk without what the client did not ask for: usage, and padding against traffic analysis.

        ``stop`` after tool calls, which some servers say, is ``tool_calls``: agents go by it.
        """
        chunk = msgspec.json.decode(data)
        chunk.pop("obfuscation", None)
        usage = chunk.get("usage")
        if usage is not None and self._include_usage:
            self._usage_sent = True
        elif "usage" in chunk:
            del chunk["usage"]
            if usage is not None and not chunk.get("choices"):
                return b""
        for choice in chunk.get("choices") or ():
            if self._calls_seen and choice.get("finish_reason") == "stop":
                choice["finish_reason"] = "tool_calls"
        return data_event(to_json(chunk))

    def _piece(self, piece: Text | Reasoning | ToolCall) -> bytes:
        role = b"" if self._has_role else self._role(piece)
        match piece:
            case ToolCall():
                details = (piece.extra or {}).get(_DETAILS)
                more = {} if details is None else {_DETAILS: details}
                return role + self._chunk({"tool_calls": [self._tool_call(piece)], **more})
            case Reasoning():
                name = b"reasoning_content"
            case Refusal():
                name = b"refusal"
            case Text():
                name = b"content"
        # What a token costs: one string as JSON, and the rest is copied.
        text = to_json(piece.text)
        return b'%b%b[{"index":0,"delta":{"%b":%b},"finish_reason":null}]}\n\n' % (role, self._head, name, text)

    def _role(self, first: Text | Reasoning | ToolCall | None) -> bytes:
        """Return the chunk with the role, once: clients add strings up, or demand one."""
        if self._has_role:
            return b""
        self._has_role = True
        return self._chunk({"role": "assistant", "content": None if isinstance(first, ToolCall) else ""})

    def _tool_call(self, piece: ToolCall) -> dict[str, Any]:
        is_first = piece.index not in self._calls
        index = self._calls.setdefault(piece.index, len(self._calls))
        return tool_call_delta(piece, index, is_first=is_first, call_id=f"call_{self._id}_{index}")

    def _block_end(self, end: BlockEnd) -> bytes:
        if end.opaque is None:
            return b""
        details = [{"type": "reasoning.encrypted", "data": opaque.seal(end.opaque)}]
        return self._role(None) + self._chunk({_DETAILS: details})

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = to_json({"index": 0, "delta": delta, "finish_reason": finish_reason})
        return b"%b[%b]}\n\n" % (self._head, choice)

    def _done(self, done: Done) -> bytes:
        parts = [] if self._replayed else [self._role(None), self._chunk({}, done.finish_reason)]
        if self._include_usage and not self._usage_sent:
            parts.append(b'%b[],"usage":%b}\n\n' % (self._head, to_json(usage_fields(done))))
        return b"".join((*parts, DONE_MARKER))


class ChatWire:
    """See :class:`~streamserver.wire.base.Wire`."""

    name = NAME
    commit: Literal["at_once", "first_piece"] = "first_piece"
    headers: Mapping[str, str] = {}

    def encoder(self, start: Start, resume_after: int | None = None) -> Encoder:
        return ChatEncoder(start)

    def whole(self, records: Sequence[Record]) -> Answer:
        return Answer(200, to_json(whole_completion(records)))

    def failure(self, failed: Failed) -> Answer:
        return failure_answer(failed, messages_field="messages")

    def refusal(self, refusal: RequestRefusal, request_id: str) -> Answer:
        return refusal_answer(refusal, request_id)


CHAT_WIRE = ChatWire()


def tool_call_delta(piece: ToolCall, index: int, *, is_first: bool, call_id: str) -> dict[str, Any]:
    """Return a piece of a tool call. ``id``, ``type`` and the name come with its first piece only: clients add them up.

    ``call_id`` is used where the provider gave none.
    """
    kind, content = ("custom", "input") if piece.custom else ("function", "arguments")
    delta: dict[str, Any] = {"index": index}
    function: dict[str, Any] = {}
    if is_first:
        delta |= {"id": piece.id or call_id, "type": kind}
        function["name"] = piece.name or ""
    function[content] = piece.arguments
    delta[kind] = function
    delta.update({name: value for name, value in (piece.extra or {}).items() if name != _DETAILS})
    return delta
