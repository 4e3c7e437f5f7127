"""The wire of OpenAI's chat completions: chunks, whole completions and errors.

Source: OpenAI's API reference, "Chat completions", and the sources of the SDKs that read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from providers import opaque
from providers.base import AnsweringModel, BlockEnd, Delta, Frame, Reasoning, RefusalText, Text, ToolCall
from streamserver.core.refusals import Refusal
from streamserver.log.records import Done, Failed, Record, Start
from streamserver.wire.base import Encoder, HTTPAnswer, join_batch
from streamserver.wire.chat_calls import DETAILS, CallDeltas
from streamserver.wire.chat_ends import chat_finish_reason
from streamserver.wire.chat_frames import CHUNK_OBJECT, ChunkReplay
from streamserver.wire.chat_usage import usage_fields
from streamserver.wire.chat_whole import whole_completion
from streamserver.wire.events import data_event, to_json
from streamserver.wire.ids import public_hash
from streamserver.wire.openai_errors import error_fields, failure_answer, refusal_answer

NAME = "chat"
DONE_MARKER = b"data: [DONE]\n\n"


class ChatEncoder:
    """An encoder of the chunks of one completion.

    A provider's own frames are replayed as they came, everything else is translated.
    """

    keepalive = b":\n"
    offset = 0

    def __init__(self, start: Start) -> None:
        public_id = public_hash(start.stream_id)
        self._include_usage = bool(start.options.get("include_usage"))
        head = {"id": f"chatcmpl-{public_id}", "object": CHUNK_OBJECT, "created": start.created, "model": start.model}
        self._head = _head_of(head)
        self._has_role = False
        self._has_refusal = False
        self._calls = CallDeltas(public_id)
        self._replay = ChunkReplay(self._calls, head)
        self._envelope = head

    def encode(self, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        if len(records) == 1:
            return self._record(records[0]), 1
        return join_batch(map(self._record, records))

    def encode_failure(self, failed: Failed) -> bytes:
        error = error_fields(failed, messages_field="messages", with_param=False)
        return self._replay.fail() + data_event(to_json({"error": error}))

    def _record(self, record: Record) -> bytes:
        match record:
            case Frame() if record.protocol == NAME:
                self._has_role = True
                return self._replay.encode(record)
            case Frame():
                return b"".join(map(self._record, record.pieces))
            case Text() | Reasoning() | ToolCall():
                return self._piece(record)
            case BlockEnd():
                return self._block_end(record)
            case AnsweringModel():
                self._envelope["model"] = record.name
                self._head = _head_of(self._envelope)
                return b""
            case Start():
                return b""
            case Done():
                return self._done(record)
            case Failed():
                return self.encode_failure(record)

    def _piece(self, piece: Delta) -> bytes:
        role = b"" if self._has_role else self._role(piece)
        match piece:
            case ToolCall():
                details = (piece.extra or {}).get(DETAILS)
                more = {} if details is None else {DETAILS: details}
                return role + self._chunk({"tool_calls": [self._calls.delta(piece)], **more})
            case Reasoning():
                name = b"reasoning_content"
            case RefusalText():
                self._has_refusal = True
                name = b"refusal"
            case Text():
                name = b"content"
        # What a token costs: one string as JSON, and the rest is copied.
        text = to_json(piece.text)
        return b'%b%b[{"index":0,"delta":{"%b":%b},"finish_reason":null}]}\n\n' % (role, self._head, name, text)

    def _role(self, first: Delta | None) -> bytes:
        """Return the chunk with the role, once: clients add strings up, or demand one."""
        if self._has_role:
            return b""
        self._has_role = True
        return self._chunk({"role": "assistant", "content": None if isinstance(first, ToolCall) else ""})

    def _block_end(self, end: BlockEnd) -> bytes:
        if end.opaque is None:
            return b""
        details = [{"type": "reasoning.encrypted", "data": opaque.seal(end.opaque)}]
        return self._role(None) + self._chunk({DETAILS: details})

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = to_json({"index": 0, "delta": delta, "finish_reason": finish_reason})
        return b"%b[%b]}\n\n" % (self._head, choice)

    def _done(self, done: Done) -> bytes:
        reason = chat_finish_reason(done, has_refusal=self._has_refusal)
        if self._replay.has_begun:
            return self._replay.end(reason, usage_fields(done) if self._include_usage else None) + DONE_MARKER
        parts = [self._role(None), self._chunk({}, reason)]
        if self._include_usage:
            parts.append(b'%b[],"usage":%b}\n\n' % (self._head, to_json(usage_fields(done))))
        return b"".join((*parts, DONE_MARKER))


class ChatWire:
    """The wire of chat completions; see :class:`~streamserver.wire.base.Wire`."""

    name = NAME
    commit: Literal["at_once", "first_piece"] = "first_piece"
    headers: Mapping[str, str] = {}
    ends_with_terminal = True

    def encoder(self, start: Start, resume_after: int | None = None) -> Encoder:
        return ChatEncoder(start)

    def whole(self, records: Sequence[Record]) -> HTTPAnswer:
        return HTTPAnswer(200, to_json(whole_completion(records)))

    def failure(self, failed: Failed) -> HTTPAnswer:
        return failure_answer(failed, messages_field="messages")

    def refusal(self, refusal: Refusal, request_id: str) -> HTTPAnswer:
        return refusal_answer(refusal, request_id)


CHAT_WIRE = ChatWire()


def _head_of(envelope: Mapping[str, Any]) -> bytes:
    """Return a chunk up to the value of its choices."""
    return b'data: %b,"choices":' % to_json(envelope)[:-1]
