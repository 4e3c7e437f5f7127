"""The wire of Anthropic's Messages: events, whole messages and errors.

Source: Anthropic's API reference, "Messages" and "Streaming Messages", and the sources of the SDKs that read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from providers.base import AnsweringModel, BlockEnd, ContentEvent, Frame, Reasoning, RefusalText, Text, ToolCall
from providers.lenient import json_object
from streamserver.core.refusals import Refusal
from streamserver.log.records import Done, Failed, Record, Start
from streamserver.wire.base import Encoder, HTTPAnswer, join_batch
from streamserver.wire.error_forms import ANTHROPIC_ERRORS, retry_headers
from streamserver.wire.events import named_event, to_json
from streamserver.wire.ids import public_hash
from streamserver.wire.messages_blocks import ContentBlocks, message_event
from streamserver.wire.messages_replay import ENDING, replayed_end, replayed_start
from streamserver.wire.messages_replayed_blocks import BLOCK_EVENTS, ReplayedBlocks
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
    """An encoder of the events of one message.

    A provider's own frames are replayed as they came. Everything else is translated: blocks are numbered in the order
    in which they are opened, and one is open at a time.
    """

    keepalive = b'event: ping\ndata: {"type":"ping"}\n\n'
    offset = 0

    def __init__(self, start: Start) -> None:
        self._model = start.model
        public = public_hash(start.stream_id)
        self._id = f"msg_{public}"
        self._started = False
        self._replays: bool | None = None
        """The provider's own frames are replayed; None: no frame has told yet."""
        self._ending: list[Frame] = []
        """The provider's own end, which waits for the end of the stream: after a failure there must be none."""
        self._refused = False
        self._blocks = ContentBlocks(public)
        self._replayed_blocks = ReplayedBlocks()

    def encode(self, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        return join_batch(map(self._record, records))

    def encode_failure(self, failed: Failed) -> bytes:
        return message_event("error", {"error": error_fields(failed), "request_id": failed.request_id})

    def _record(self, record: Record) -> bytes:
        match record:
            case Frame():
                return self._frame(record)
            case Text() | Reasoning() | ToolCall() | BlockEnd():
                return self._translated(record)
            case AnsweringModel():
                self._model = record.name
                return b""
            case Start():
                return b""
            case Done():
                return self._done(record)
            case Failed():
                return self.encode_failure(record)

    def _frame(self, frame: Frame) -> bytes:
        if self._replays is None:
            self._replays = self._begins_replay(frame)
        if not self._replays or frame.protocol != NAME:
            return b"".join(map(self._translated, frame.pieces))
        if frame.type in ENDING:
            self._ending.append(frame)
            return b""
        if frame.type in BLOCK_EVENTS:
            return self._replayed_blocks.add(frame)
        if frame.type == "message_start":
            return replayed_start(frame, self._model)
        return named_event(frame.type, frame.data)

    def _begins_replay(self, frame: Frame) -> bool | None:
        """Return whether the provider begins a message as its SDKs demand. None: it has not begun one."""
        if frame.protocol == NAME and frame.type == "message_start":
            return not self._started
        return False if frame.pieces else None

    def _translated(self, piece: ContentEvent) -> bytes:
        self._refused = self._refused or isinstance(piece, RefusalText)
        return self._message_start() + self._blocks.add(piece)

    def _message_start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": NO_USAGE,
        }
        return message_event("message_start", {"message": message})

    def _done(self, done: Done) -> bytes:
        if self._replays:
            return self._replayed_blocks.end() + replayed_end(self._ending, done, stop_reason(done))
        reason = "refusal" if self._refused else stop_reason(done)
        sequence = done.stop_sequence if reason == "stop_sequence" else None
        delta = {"stop_reason": reason, "stop_sequence": sequence, "stop_details": None}
        return b"".join(
            (
                self._message_start(),
                self._blocks.end(),
                message_event("message_delta", {"delta": delta, "usage": usage_fields(done)}),
                message_event("message_stop", {}),
            )
        )


class MessagesWire:
    """The wire of Messages; see :class:`~streamserver.wire.base.Wire`."""

    name = NAME
    commit: Literal["at_once", "first_piece"] = "first_piece"
    headers: Mapping[str, str] = {}
    ends_with_terminal = True

    def encoder(self, start: Start, resume_after: int | None = None) -> Encoder:
        return MessagesEncoder(start)

    def whole(self, records: Sequence[Record]) -> HTTPAnswer:
        return HTTPAnswer(200, to_json(whole_message(_events_of(records))))

    def failure(self, failed: Failed) -> HTTPAnswer:
        body = {"type": "error", "error": error_fields(failed), "request_id": failed.request_id}
        return HTTPAnswer(ANTHROPIC_ERRORS[failed.code].status, to_json(body), headers=retry_headers(failed))

    def refusal(self, refusal: Refusal, request_id: str) -> HTTPAnswer:
        form = ANTHROPIC_ERRORS[refusal.code]
        message = f"{refusal.field}: {refusal.detail}" if refusal.field else refusal.detail
        body = {"type": "error", "error": {"type": form.type, "message": message}, "request_id": request_id}
        headers = {**refusal.headers, **retry_headers(refusal)}
        return HTTPAnswer(form.status, to_json(body), headers=headers)


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
    return {"type": ANTHROPIC_ERRORS[failed.code].type, "message": message}


def _events_of(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Yield the data of the events that a stream of ``records`` has."""
    assert isinstance(records[0], Start)
    encoder = MessagesEncoder(records[0])
    offset = 0
    while offset < len(records):
        data, count = encoder.encode(offset, records[offset:])
        offset += count
        for line in data.split(b"\n"):
            if line.startswith(b"data: ") and (event := json_object(line[6:])) is not None:
                yield event
