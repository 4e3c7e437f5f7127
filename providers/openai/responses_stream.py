"""The Responses API: the events of a streamed answer, read.

Source: OpenAI's API reference, "Streaming events", and the types of its SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from providers.answer import AnswerParser, broken_off
from providers.base import BlockEnd, Event, Opaque, Reasoning, RefusalText, Text, ToolCall
from providers.lenient import as_object, as_text, as_word, is_end_marker, json_object, objects
from providers.openai.response_usage import ResponseUsage
from providers.text_so_far import TextSoFar
from providers.tool_calls import Key
from providers.upstream_errors import from_stream, raise_error_in

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""Items that are tool calls, and the field that has their arguments."""
_TEXTS: Mapping[str, tuple[type[Text], str]] = {"output_text": (Text, "text"), "refusal": (RefusalText, "refusal")}
"""Parts of a message, and the field that has their text."""


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Response(msgspec.Struct):
    model: str | None = None
    status: str | None = None
    usage: ResponseUsage | None = None
    incomplete_details: _Incomplete | None = None
    error: Any = None
    output: Any = None


class _ResponsesEvent(msgspec.Struct):
    """Any event of the stream, as much of it as is read; ``type`` says which."""

    type: str | None = None
    delta: Any = None
    item_id: str | None = None
    output_index: int | None = None
    summary_index: int | None = None
    item: Any = None
    part: Any = None
    response: _Response | None = None
    text: Any = None
    refusal: Any = None
    name: Any = None
    arguments: Any = None
    input: Any = None

    @property
    def place(self) -> tuple[Key, ...]:
        """What tells which item it is about: its id, its index in the output, the id of its call."""
        item = as_object(self.item)
        keys = (self.item_id, as_word(item.get("id")), self.output_index, as_word(item.get("call_id")))
        return tuple(key for key in keys if key is not None)


_RESPONSES_DECODER = msgspec.json.Decoder(_ResponsesEvent)


class ResponsesParser(AnswerParser):
    """A parser of one stream of the API's events, with what it has read so far."""

    def __init__(self, model: str) -> None:
        """``model`` is the one that was asked for."""
        super().__init__()
        self._asked_model = model
        self._texts: dict[type[Text | Reasoning], TextSoFar] = {
            kind: TextSoFar() for kind in (Text, RefusalText, Reasoning)
        }
        """What has come of the part under way."""
        self._open: type[Text] | None = None
        """The kind of the part under way, if its end is still to be told."""
        self._has_told_text = False
        self._told: set[Key] = set()
        """The places of the items of which text has come."""

    def _read(self, name: str, data: bytes) -> Iterator[Event]:
        event = self.decode(name, data, _RESPONSES_DECODER)
        if event is None:
            self.complete = is_end_marker(data)
            return
        kind = event.type if event.type is not None and event.type.startswith("response.") else name or event.type
        match kind:
            case "response.output_text.delta":
                yield from self._text(Text, event, as_text(event.delta))
            case "response.refusal.delta":
                yield from self._text(RefusalText, event, as_text(event.delta))
            case "response.output_text.done":
                yield from self._rest(Text, event, event.text)
            case "response.refusal.done":
                yield from self._rest(RefusalText, event, event.refusal)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                yield from self._text(Reasoning, event, as_word(event.delta) or "")
            case "response.reasoning_summary_text.done" | "response.reasoning_text.done":
                yield from self._rest(Reasoning, event, event.text)
            case "response.reasoning_summary_part.added":
                yield from self._summary_part(event)
            case "response.function_call_arguments.delta":
                yield from self.calls.add(self._call_key(event), arguments=event.delta)
            case "response.custom_tool_call_input.delta":
                yield from self.calls.add(self._call_key(event), arguments=event.delta, custom=True)
            case "response.function_call_arguments.done":
                yield from self.calls.complete(self._call_key(event), event.arguments, name=event.name, final=False)
            case "response.custom_tool_call_input.done":
                yield from self.calls.complete(self._call_key(event), event.input, final=False)
            case "response.content_part.added":
                self._begin()
            case "response.content_part.done":
                yield from self._part_end(event, as_object(event.part))
            case "response.output_item.added":
                yield from self._item(event, as_object(event.item))
            case "response.output_item.done":
                yield from self._item_end(event, as_object(event.item))
            case (
                "response.completed"
                | "response.incomplete"
                | "response.failed"
                | "response.cancelled"
                | "response.done"
            ):
                yield from self._end(kind.removeprefix("response."), event.response or _Response(), data)
            case "response.created" | "response.queued" | "response.in_progress":
                yield from self._response(event.response or _Response())
            case _:  # the progress of OpenAI's own tools, and whatever the API adds
                raise_error_in(name, data)

    def _text(self, kind: type[Text | Reasoning], event: _ResponsesEvent, text: str) -> Iterator[Event]:
        if not text:
            return
        self.has_text = True
        self._told.update(event.place)
        self._texts[kind].add(text)
        if issubclass(kind, Text):
            self._open = kind
            self._has_told_text = True
        yield kind(text)

    def _rest(self, kind: type[Text | Reasoning], event: _ResponsesEvent, whole: object) -> Iterator[Event]:
        """Yield what the whole text of a part has beyond its deltas."""
        if isinstance(whole, str):
            yield from self._text(kind, event, self._texts[kind].rest_of(whole))

    def _begin(self) -> None:
        for text in self._texts.values():
            text.clear()

    def _summary_part(self, event: _ResponsesEvent) -> Iterator[Event]:
        self._begin()
        if event.summary_index:
            yield Reasoning("\n\n")

    def _part_end(self, event: _ResponsesEvent, part: Mapping[str, Any]) -> Iterator[Event]:
        kind, field = _TEXTS.get(as_word(part.get("type")) or "", (Text, "text"))
        yield from self._rest(kind, event, part.get(field))
        yield from self._text_end()

    def _text_end(self) -> Iterator[Event]:
        if self._open is not None:
            yield BlockEnd("refusal" if self._open is RefusalText else "text")
        self._open = None

    def _item(self, event: _ResponsesEvent, item: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._text_end()
        self._begin()
        kind = as_word(item.get("type"))
        if kind in _CALLS:
            yield from self._call(event, item)
        elif kind not in ("message", "reasoning"):
            self.has_unreadable = True

    def _call(self, event: _ResponsesEvent, item: Mapping[str, Any]) -> Iterator[ToolCall]:
        """Yield the start of a call. Its arguments count if none follow."""
        key = self._call_key(event)
        custom = item.get("type") == "custom_tool_call"
        yield from self.calls.add(key, id=item.get("call_id"), name=item.get("name"), custom=custom)
        for place in event.place:
            self.calls.alias(key, place)
        self.calls.offer(key, item.get(_CALLS[str(item["type"])]))

    def _call_key(self, event: _ResponsesEvent) -> Key:
        """Return what the call is known under, else what it is to be known under."""
        place = event.place
        return next((key for key in place if self.calls.knows(key)), place[0] if place else None)

    def _item_end(self, event: _ResponsesEvent, item: Mapping[str, Any]) -> Iterator[Event]:
        kind = as_word(item.get("type"))
        if kind in _CALLS:
            key = self._call_key(event)
            if not self.calls.knows(key):
                yield from self._call(event, item)
            arguments = item.get(_CALLS[str(kind)])
            yield from self.calls.complete(key, arguments, id=item.get("call_id"), name=item.get("name"))
            yield BlockEnd("tool_call", self.calls.index_of(key))
        elif kind == "reasoning":
            yield from self._reasoning_end(event, item)
        elif kind == "message":
            yield from self._message_end(event, item)

    def _reasoning_end(self, event: _ResponsesEvent, item: Mapping[str, Any]) -> Iterator[Event]:
        if self._told.isdisjoint(event.place):
            parts = [
                as_word(part.get("text")) for part in (*objects(item.get("summary")), *objects(item.get("content")))
            ]
            yield from self._text(Reasoning, event, "\n\n".join(filter(None, parts)))
        encrypted = as_word(item.get("encrypted_content"))
        data = {"id": item.get("id"), "encrypted_content": encrypted}
        yield BlockEnd("reasoning", opaque=Opaque("responses", self._asked_model, data) if encrypted else None)

    def _message_end(self, event: _ResponsesEvent, item: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the text of a message of which no deltas have come."""
        if self._told.isdisjoint(event.place) and not self._has_told(event, item):
            for part in objects(item.get("content")):
                kind, field = _TEXTS.get(as_word(part.get("type")) or "", (Text, ""))
                self._begin()
                yield from self._text(kind, event, as_word(part.get(field)) or "")
                yield from self._text_end()
        yield from self._text_end()

    def _has_told(self, event: _ResponsesEvent, item: Mapping[str, Any]) -> bool:
        """Return whether the text of an item without a known place is what came last: some servers change its id."""
        texts = "".join(as_word(part.get("text")) or "" for part in objects(item.get("content")))
        return event.output_index is None and texts == self._texts[Text].joined()

    def _response(self, response: _Response) -> Iterator[Event]:
        yield from self.report_model(response.model)
        if response.usage is not None:
            yield response.usage.as_usage()

    def _end(self, status: str, response: _Response, data: bytes) -> Iterator[Event]:
        if response.status in ("failed", "cancelled", "incomplete"):
            status = response.status
        if _is_error(response.error) or status in ("failed", "cancelled"):
            raise from_stream(json_object(data))
        yield from self.report_model(response.model)
        yield from self._output(response.output)
        word = "completed" if status in ("completed", "done") else (response.incomplete_details or _Incomplete()).reason
        if word is None:
            raise broken_off("incomplete")
        self.end(word)
        yield from self.rest()
        yield from self._response(response)
        self.complete = True

    def _output(self, output: object) -> Iterator[Event]:
        """Yield the items that have come with the whole Response only."""
        items = list(enumerate(objects(output)))
        calls = [item for _, item in items if as_word(item.get("type")) in _CALLS]
        has_more_calls = len(calls) > len(self.calls)
        has_told_nothing, has_told_text = not self.has_text and not self.calls, self._has_told_text
        for index, item in items:
            kind = as_word(item.get("type"))
            is_new_call = kind in _CALLS and has_more_calls and not self.calls.knows(as_word(item.get("call_id")))
            if has_told_nothing or is_new_call or (kind == "message" and not has_told_text):
                place = index if has_told_nothing else None
                yield from self._item_end(_ResponsesEvent(item=item, output_index=place), item)


def _is_error(error: object) -> bool:
    """Return whether ``error`` says anything: some servers send an object without a value."""
    return any(error.values()) if isinstance(error, dict) else bool(error)
