"""The Responses API: the events of a streamed answer, read.

Source: OpenAI's API reference, "Streaming events", and the types of its SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from providers.base import BlockEnd, Event, Finish, Opaque, Reasoning, Refusal, Text, ToolCall, Usage, UsageDetails
from providers.errors import disconnected
from providers.http_errors import read_payload
from providers.openai import errors

_FINISH_REASONS: Mapping[str, str] = {"max_output_tokens": "length", "content_filter": "content_filter"}


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def as_usage(self) -> Usage:
        """Return the counts as the event they are."""
        read, written = self.input_tokens_details, self.output_tokens_details
        details = None
        if read is not None or written is not None:
            read, written = read or _InputDetails(), written or _OutputDetails()
            details = UsageDetails(
                cached_tokens=read.cached_tokens,
                cache_write_tokens=read.cache_write_tokens,
                reasoning_tokens=written.reasoning_tokens,
            )
        return Usage(self.input_tokens, self.output_tokens, details)


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Response(msgspec.Struct):
    model: str | None = None
    usage: _Usage | None = None
    incomplete_details: _Incomplete | None = None
    error: Any = None


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    encrypted_content: str | None = None


class _Event(msgspec.Struct):
    """Any event of the stream, as much of it as is read; ``type`` says which."""

    type: str | None = None
    delta: Any = None
    output_index: int = 0
    summary_index: int = 0
    item: _Item | None = None
    part: _Item | None = None
    response: _Response | None = None
    error: Any = None
    code: Any = None
    message: Any = None
    param: Any = None


_DECODER = msgspec.json.Decoder(_Event)


class ResponsesParser:
    """The API's events in, ours out: what one stream has said so far."""

    def __init__(self, model: str) -> None:
        """``model`` is the one that was asked for."""
        self._asked_model = model
        self.complete = False
        """The response has ended: nothing that matters follows."""
        self._model: str | None = None
        self._finish_reason: str | None = None
        self._provider_reason: str | None = None
        self._tools: dict[int, int] = {}
        """Index of an output item → which tool call of the answer it is."""

    def events(self, name: str, data: bytes) -> Iterator[Event]:
        """The events in one of the API's. Raises a :class:`~providers.errors.ProviderError` if it tells a failure."""
        if data == b"[DONE]":
            self.complete = True
            return
        event = read_payload(data, _DECODER)
        match event.type:
            case "response.output_text.delta":
                yield from _text(Text, event.delta)
            case "response.refusal.delta":
                yield from _text(Refusal, event.delta)
            case "response.content_part.done":
                if event.part is not None and event.part.type in ("output_text", "refusal"):
                    yield BlockEnd("refusal" if event.part.type == "refusal" else "text")
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                if event.delta and isinstance(event.delta, str):
                    yield Reasoning(event.delta)
            case "response.reasoning_summary_part.added" if event.summary_index:
                yield Reasoning("\n\n")
            case "response.output_item.added":
                yield from self._item(event)
            case "response.output_item.done":
                yield from self._item_end(event)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                custom = event.type == "response.custom_tool_call_input.delta"
                if event.delta and isinstance(event.delta, str) and event.output_index in self._tools:
                    yield ToolCall(self._tools[event.output_index], None, None, event.delta, custom=custom)
            case "response.created" | "response.in_progress" | "response.completed" | "response.incomplete":
                yield from self._response(event.type, event.response or _Response())
            case "response.failed":
                raise errors.from_stream((event.response or _Response()).error)
            case _ if event.type == "error" or event.error:
                raise errors.from_stream(event.error or _flat_error(event))
            case _:  # the ends of parts, the progress of OpenAI's own tools, and whatever the API adds
                pass

    def _item(self, event: _Event) -> Iterator[Event]:
        item = event.item
        if item is not None and item.type in ("function_call", "custom_tool_call"):
            index = self._tools.setdefault(event.output_index, len(self._tools))
            yield ToolCall(index, item.call_id, item.name, "", custom=item.type == "custom_tool_call")

    def _item_end(self, event: _Event) -> Iterator[Event]:
        item = event.item or _Item()
        if item.type == "reasoning":
            data = {"id": item.id, "encrypted_content": item.encrypted_content}
            opaque = Opaque("responses", self._asked_model, data) if item.encrypted_content else None
            yield BlockEnd("reasoning", opaque=opaque)
        elif event.output_index in self._tools:
            yield BlockEnd("tool_call", self._tools[event.output_index])

    def _response(self, what: str, response: _Response) -> Iterator[Event]:
        self._model = response.model or self._model
        if response.usage is not None:
            yield response.usage.as_usage()
        if what == "response.completed":
            self._finish_reason = "tool_calls" if self._tools else "stop"
            self._provider_reason = "completed"
        elif what == "response.incomplete":
            reason = (response.incomplete_details or _Incomplete()).reason or "incomplete"
            self._finish_reason = _FINISH_REASONS.get(reason, reason)
            self._provider_reason = reason
        self.complete = self._finish_reason is not None

    def finish(self) -> Finish:
        """The end. Raises :class:`~providers.errors.UpstreamDisconnected` if the response never ended."""
        if self._finish_reason is None:
            raise disconnected("no_finish_reason")
        return Finish(self._finish_reason, self._model, self._provider_reason)


def _text(kind: type[Text], delta: object) -> Iterator[Event]:
    if delta and isinstance(delta, str):
        yield kind(delta)


def _flat_error(event: _Event) -> dict[str, Any]:
    """An ``error`` event has its code beside its type, where ``error`` is the type of the event."""
    return {"code": event.code, "message": event.message, "param": event.param}
