"""The wire of OpenAI's Responses: numbered events, Response objects and errors.

Source: OpenAI's API reference, "Responses" and "Streaming events", and the sources of the SDKs that read them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from providers.base import AnsweringModel, BlockEnd, ContentEvent, Frame, Reasoning, RefusalText, Text, ToolCall
from streamserver.core.refusals import Refusal
from streamserver.log.base import Log
from streamserver.log.records import Done, Failed, Record, Start, has_stable_offset
from streamserver.wire.base import Encoder, HTTPAnswer, join_batch
from streamserver.wire.events import from_json, named_event, to_json
from streamserver.wire.ids import public_hash
from streamserver.wire.openai_errors import failure_answer, refusal_answer
from streamserver.wire.responses_items import ItemEvent, Items
from streamserver.wire.responses_object import (
    error_event_fields,
    failed_fields,
    finished_fields,
    response_object,
)
from streamserver.wire.responses_replay import TERMINAL, Replay

NAME = "responses"


class ResponsesEncoder:
    """An encoder of the events of one Response, numbered from 0 by 1.

    A provider's own frames are replayed, with our numbers and our id of the Response; everything else is translated.
    """

    keepalive = b":\n"
    offset = 0

    def __init__(self, start: Start, resume_after: int | None = None, *, writes: bool = True) -> None:
        """``writes``: else only the Response is wanted, and no event is written as JSON."""
        self._start = start
        self._writes = writes
        self._resume_after = -1 if resume_after is None else resume_after
        self._next_number = 0
        self._background = bool(start.options.get("background"))
        self._begun = False
        self._refused = False
        self._is_ending_unstable = False
        """The end has a number that the producer did not give it: a client may have another event of that number."""
        self._items = Items(public_hash(start.stream_id))
        self._replays: bool | None = None
        """The provider's own frames are replayed; None: no frame has told yet."""
        self._replay: Replay | None = None
        self._own_end: ItemEvent | None = None
        """The provider's own end, which waits for the end of the stream: after a failure there must be none."""
        self._ending: dict[str, Any] = {"status": "queued" if self._background else "in_progress"}

    def encode(self, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        return join_batch(map(self._record, records))

    def encode_failure(self, failed: Failed) -> bytes:
        return self._failed(failed, is_stable=False)

    def response(self) -> dict[str, Any]:
        """Return the Response as far as it has been encoded."""
        if self._replay is not None:
            return {**self._replay.response(response_object(self._start, ())), **self._ending}
        return {**response_object(self._start, self._items.done_items()), **self._ending}

    def _record(self, record: Record) -> bytes:
        match record:
            case Frame():
                return self._frame(record)
            case Text() | Reasoning() | ToolCall() | BlockEnd():
                return self._piece(record)
            case AnsweringModel():
                self._start = msgspec.structs.replace(self._start, model=record.name)
                return b""
            case Start():
                return self._queue()
            case Done():
                return self._done(record)
            case Failed():
                return self._failed(record, is_stable=has_stable_offset(record))

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

    def _piece(self, piece: ContentEvent) -> bytes:
        self._refused = self._refused or isinstance(piece, RefusalText)
        return self._begin() + self._events(self._items.add(piece))

    def _frame(self, frame: Frame) -> bytes:
        if self._replays is None and frame.protocol == NAME:
            self._replays = Replay.begins_with(frame)
        if frame.protocol != NAME or not self._replays:
            return b"".join(map(self._piece, frame.pieces))
        self._begun = True
        if self._replay is None:
            self._replay = Replay(self._start, skips_creation=self._background)
            self._ending = {}
        events = self._replay.add(frame.type, from_json(frame.data))
        if len(events) == 1 and events[0][0] not in TERMINAL:
            return self._event(*events[0])
        return b"".join(self._event(*event) for event in events if not self._keep_end(event))

    def _keep_end(self, event: ItemEvent) -> bool:
        """Keep the provider's own end, which waits. Return whether ``event`` is it."""
        if event[0] in TERMINAL:
            self._own_end = event
        return event[0] in TERMINAL

    def _done(self, done: Done) -> bytes:
        if self._own_end is not None:
            status = "completed" if self._own_end[0] == "response.completed" else "incomplete"
            return self._end_items(status) + self._event(*self._own_end)
        ending = finished_fields(done, self._start.created, refused=self._refused)
        status = ending["status"]
        events = self._begin() + self._end_items(status)
        self._ending = ending
        return events + self._event(f"response.{status}", {"response": self.response()})

    def _failed(self, failed: Failed, *, is_stable: bool) -> bytes:
        events = self._begin() + self._end_items("incomplete")
        self._is_ending_unstable = not is_stable
        if failed.code != "cancelled":
            # Nested, an error makes openai-python raise; the flat fields are those of the documentation:
            # https://github.com/openai/openai-python/blob/main/src/openai/_streaming.py (`Stream.__stream__`).
            error = error_event_fields(failed)
            flat = {name: error[name] for name in ("code", "message", "param")}
            events += self._event("error", {"error": error, **flat})
        self._ending = failed_fields(failed)
        return events + self._event("response.failed", {"response": self.response()})

    def _end_items(self, status: str) -> bytes:
        return self._events(self._items.end(status) if self._replay is None else self._replay.end(status))

    def _events(self, events: Iterable[ItemEvent]) -> bytes:
        return b"".join(self._event(*event) for event in events)

    def _event(self, name: str, fields: Mapping[str, Any]) -> bytes:
        number, self._next_number = self._next_number, self._next_number + 1
        if not self._writes or self._is_at_client(number, name):
            return b""
        return named_event(name, to_json({**fields, "type": name, "sequence_number": number}))

    def _is_at_client(self, number: int, name: str) -> bool:
        """Return whether the client has an event. One that says it is past the end gets the end all the same."""
        is_past = number < self._resume_after
        if name in TERMINAL:
            return number == self._resume_after and not self._is_ending_unstable
        return number <= self._resume_after and not (name == "error" and is_past and self._is_ending_unstable)


class ResponsesWire:
    """The wire of Responses; see :class:`~streamserver.wire.base.Wire`."""

    name = NAME
    commit: Literal["at_once", "first_piece"] = "first_piece"
    headers: Mapping[str, str] = {}
    ends_with_terminal = False

    def encoder(self, start: Start, resume_after: int | None = None) -> Encoder:
        return ResponsesEncoder(start, resume_after)

    def whole(self, records: Sequence[Record]) -> HTTPAnswer:
        return HTTPAnswer(200, to_json(response_of(records)))

    def failure(self, failed: Failed) -> HTTPAnswer:
        return failure_answer(failed, messages_field="input")

    def refusal(self, refusal: Refusal, request_id: str) -> HTTPAnswer:
        return refusal_answer(refusal, request_id)


class BackgroundResponsesWire(ResponsesWire):
    """Background Responses: the client gets the id before the provider is asked, and failures as a Response."""

    commit: Literal["at_once", "first_piece"] = "at_once"


SLICE_RECORDS = 512
"""How many records are read for a Response before the event loop has a turn: about two milliseconds' work."""
RESPONSES_WIRE = ResponsesWire()
BACKGROUND_RESPONSES_WIRE = BackgroundResponsesWire()


def response_of(records: Sequence[Record]) -> dict[str, Any]:
    """Return the Response of a log as far as ``records`` go."""
    start = records[0]
    assert isinstance(start, Start)
    encoder = ResponsesEncoder(start, writes=False)
    encoder.encode(0, records)
    return encoder.response()


async def current_response(log: Log) -> dict[str, Any]:
    """Return the Response of ``log`` so far. A long one is read in slices, between which other streams go on."""
    encoder, offset = ResponsesEncoder(log.start, writes=False), 0
    while records := log.take(offset, SLICE_RECORDS):
        offset += encoder.encode(offset, records)[1]
        await asyncio.sleep(0)
    return encoder.response()
