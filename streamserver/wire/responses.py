"""The wire of OpenAI's Responses: numbered events, Response objects and errors.

Source: OpenAI's API reference, "Responses" and "Streaming events", and the sources of the SDKs that read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from providers.base import BlockEnd, Frame, Reasoning, Text, ToolCall
from streamserver.core.refusals import Refusal as RequestRefusal
from streamserver.log.records import Done, Failed, Record, Start
from streamserver.wire.base import MAX_BATCH_BYTES, Answer, Encoder
from streamserver.wire.events import named_event, to_json
from streamserver.wire.ids import public_hash
from streamserver.wire.openai_errors import failure_answer, refusal_answer
from streamserver.wire.responses_items import Event, Items
from streamserver.wire.responses_object import (
    error_code,
    error_message,
    failed_fields,
    finished_fields,
    response_object,
)
from streamserver.wire.responses_replay import Replay

NAME = "responses"

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponsesEncoder:
    """Encodes the events of one Response, numbered from 0 by 1.

    A provider's own frames are replayed, with our numbers and our id of the Response; everything else is translated.
    """

    keepalive = b":\n"
    offset = 0

    def __init__(self, start: Start, resume_after: int | None = None) -> None:
        self._start = start
        self._resume_after = -1 if resume_after is None else resume_after
        self._next_number = 0
        self._background = bool(start.options.get("background"))
        self._begun = False
        self._items = Items(public_hash(start.stream_id))
        self._replay: Replay | None = None
        self._ending: dict[str, Any] = {"status": "queued" if self._background else "in_progress"}

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
        parts = [self._begin()]
        open_items = self._items.end("incomplete") if self._replay is None else self._replay.end()
        parts += [self._event(*event) for event in open_items]
        if failed.code != "cancelled":
            code, message = error_code(failed), error_message(failed)
            # Nested, an error makes openai-python raise; the flat fields are those of the documentation.
            fields = {"code": code, "message": message, "param": None}
            parts.append(self._event("error", {"error": {"type": "server_error", **fields}, **fields}))
        self._ending = failed_fields(failed)
        parts.append(self._event("response.failed", {"response": self.response()}))
        return b"".join(parts)

    def response(self) -> dict[str, Any]:
        """Return the Response as far as it has been encoded."""
        if self._replay is not None:
            return {**self._replay.response(response_object(self._start, "in_progress", ())), **self._ending}
        return {**response_object(self._start, "in_progress", self._items.done_items()), **self._ending}

    def _record(self, record: Record) -> bytes:
        match record:
            case Frame():
                return self._frame(record)
            case Text() | Reasoning() | ToolCall() | BlockEnd():
                return self._begin() + self._events(self._items.add(record))
            case Start():
                return self._queue()
            case Done():
                return self._done(record)
            case Failed():
                return self.encode_failure(record)

    def _queue(self) -> bytes:
        """Return the first events of a background Response: its client needs the id at once."""
        if not self._background:
            return b""
        queued = {"response": self.response()}
        return self._event("response.created", queued) + self._event("response.queued", queued)

    def _begin(self) -> bytes:
        """Return the events before the first item, unless they have been written."""
        if self._begun:
            return b""
        self._begun = True
        self._ending = {"status": "in_progress"}
        running = {"response": self.response()}
        first = b"" if self._background else self._event("response.created", running)
        return first + self._event("response.in_progress", running)

    def _frame(self, frame: Frame) -> bytes:
        if frame.protocol != NAME:
            return self._begin() + b"".join(self._events(self._items.add(piece)) for piece in frame.pieces)
        self._begun = True
        if self._replay is None:
            self._replay = Replay(self._start, skips_creation=self._background)
            self._ending = {}
        event = self._replay.add(frame.type, msgspec.json.decode(frame.data))
        return b"" if event is None else self._event(*event)

    def _done(self, done: Done) -> bytes:
        if self._replay is not None and self._replay.ended:
            return b""
        incomplete = done.finish_reason in ("length", "content_filter")
        parts = [self._begin(), self._events(self._items.end("incomplete" if incomplete else "completed"))]
        self._ending = finished_fields(done, self._start.created)
        parts.append(self._event(f"response.{self._ending['status']}", {"response": self.response()}))
        return b"".join(parts)

    def _events(self, events: Any) -> bytes:
        return b"".join(self._event(*event) for event in events)

    def _event(self, name: str, fields: Mapping[str, Any]) -> bytes:
        number, self._next_number = self._next_number, self._next_number + 1
        # A client that says it is further than the log is gets the terminal event all the same.
        if number <= self._resume_after and name not in _TERMINAL:
            return b""
        return named_event(name, to_json({**fields, "type": name, "sequence_number": number}))


class ResponsesWire:
    """See :class:`~streamserver.wire.base.Wire`."""

    name = NAME
    commit: Literal["at_once", "first_piece"] = "first_piece"
    headers: Mapping[str, str] = {}

    def encoder(self, start: Start, resume_after: int | None = None) -> Encoder:
        return ResponsesEncoder(start, resume_after)

    def whole(self, records: Sequence[Record]) -> Answer:
        return Answer(200, to_json(response_of(records)))

    def failure(self, failed: Failed) -> Answer:
        return failure_answer(failed, messages_field="input")

    def refusal(self, refusal: RequestRefusal, request_id: str) -> Answer:
        return refusal_answer(refusal, request_id)


class BackgroundResponsesWire(ResponsesWire):
    """Background Responses: the client gets the id before the provider is asked, and failures as a Response."""

    commit: Literal["at_once", "first_piece"] = "at_once"


RESPONSES_WIRE = ResponsesWire()
BACKGROUND_RESPONSES_WIRE = BackgroundResponsesWire()


def response_of(records: Sequence[Record]) -> dict[str, Any]:
    """Return the Response of a log as far as ``records`` go."""
    start = records[0]
    assert isinstance(start, Start)
    encoder = ResponsesEncoder(start)
    offset = 0
    while offset < len(records):
        _, count = encoder.encode(offset, records[offset:])
        offset += count
    return encoder.response()


__all__ = ["BACKGROUND_RESPONSES_WIRE", "NAME", "RESPONSES_WIRE", "Event", "ResponsesEncoder", "response_of"]
