"""The Responses API: a request in its form, and its stream read.

Source: OpenAI's API reference, "Responses" and "Streaming events", and the types of its SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from providers.base import ChatRequest, Event, Finish, Message, Reasoning, Text, ToolCall, Usage
from providers.errors import InvalidRequest, disconnected
from providers.http_errors import read_payload
from providers.openai import errors

PATH = "responses"

_FINISH_REASONS: Mapping[str, str] = {"max_output_tokens": "length", "content_filter": "content_filter"}


def payload(request: ChatRequest, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The body of ``POST …/responses``.

    ``extra`` is in this API's form, the request's own in that of chat completions; both give way to
    the keys set here, but for ``store``: OpenAI keeps every answer for 30 days unless told not to.
    Raises :class:`~providers.errors.InvalidRequest` for parts of a message that the API does not have.
    """
    body = _merged(extra, _translated(request.extra))
    body.setdefault("store", False)
    body |= {
        "model": request.model,
        "input": [item for message in request.messages for item in _items(message)],
        "max_output_tokens": request.max_tokens,
        "stream": True,
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.tools is not None:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    return body


def _merged(*tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables together, later ones first; what is a table in both is merged likewise."""
    merged: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            before = merged.get(key)
            merged[key] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _translated(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of chat completions that have another name here."""
    translated = dict(extra)
    text: dict[str, Any] = {}
    if "reasoning_effort" in translated:
        translated["reasoning"] = {"effort": translated.pop("reasoning_effort")}
    if "verbosity" in translated:
        text["verbosity"] = translated.pop("verbosity")
    if "response_format" in translated:
        wanted = translated.pop("response_format")
        schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
        text["format"] = {**schema, "type": "json_schema"} if isinstance(schema, dict) else wanted
    return {**translated, "text": text} if text else translated


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """A turn as the items of an input: its words, then each of its tool calls."""
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.tool_call_id or "", "output": _words(message)}
        return
    if message.content:
        yield {"role": message.role, "content": _content(message)}
    elif message.refusal:
        yield {"role": message.role, "content": message.refusal}
    for call in message.tool_calls or ():
        function = call.get("function") or {}
        yield {
            "type": "function_call",
            "call_id": call.get("id", ""),
            "name": function.get("name", ""),
            "arguments": function.get("arguments") or "{}",
        }


def _content(message: Message) -> str | list[dict[str, Any]]:
    if isinstance(message.content, list) and message.role != "assistant":
        return [_part(part) for part in message.content]
    return _words(message)


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": str(text)}:
            return {"type": "input_text", "text": text}
        case {"type": "image_url", "image_url": {"url": str(url), **rest}}:
            return {"type": "input_image", "image_url": url, "detail": rest.get("detail") or "auto"}
        case {"type": "file", "file": dict(file)}:
            return {"type": "input_file", **file}
        case _:
            raise InvalidRequest("This provider takes parts of the types text, image_url and file only.", sent=False)


def _words(message: Message) -> str:
    if isinstance(message.content, list):
        return "".join(part["text"] for part in message.content if part.get("type") == "text")
    return message.content or ""


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        return tool  # one of OpenAI's own, such as web_search
    # Not said means strict here, and not strict in chat completions.
    return {"parameters": {"type": "object", "properties": {}}, "strict": False, **function, "type": "function"}


def _tool_choice(choice: str | dict[str, Any]) -> str | dict[str, Any]:
    match choice:
        case {"type": "function", "function": {"name": name}}:
            return {"type": "function", "name": name}
        case _:
            return choice


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Response(msgspec.Struct):
    model: str | None = None
    usage: _Usage | None = None
    incomplete_details: _Incomplete | None = None
    error: Any = None


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    call_id: str | None = None
    name: str | None = None


class _Event(msgspec.Struct):
    """Any event of the stream, as much of it as is read; ``type`` says which."""

    type: str | None = None
    delta: Any = None
    output_index: int = 0
    summary_index: int = 0
    item: _Item | None = None
    response: _Response | None = None
    error: Any = None
    code: Any = None
    message: Any = None
    param: Any = None


_DECODER = msgspec.json.Decoder(_Event)


class ResponsesReader:
    """The API's events in, ours out: what one stream has said so far."""

    def __init__(self) -> None:
        self.complete = False
        """The response has ended: nothing that matters follows."""
        self._model: str | None = None
        self._finish_reason: str | None = None
        self._tools: dict[int, int] = {}
        """Index of an output item → which tool call of the answer it is."""

    def events(self, payload: bytes) -> Iterator[Event]:
        """The events in one of the API's. Raises a :class:`~providers.errors.ProviderError` if it tells a failure."""
        if payload == b"[DONE]":
            self.complete = True
            return
        event = read_payload(payload, _DECODER)
        match event.type:
            case "response.output_text.delta" | "response.refusal.delta":
                yield from _text(event.delta)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                if event.delta and isinstance(event.delta, str):
                    yield Reasoning(event.delta)
            case "response.reasoning_summary_part.added" if event.summary_index:
                yield Reasoning("\n\n")
            case "response.output_item.added":
                yield from self._item(event)
            case "response.function_call_arguments.delta":
                if event.delta and isinstance(event.delta, str) and event.output_index in self._tools:
                    yield ToolCall(self._tools[event.output_index], None, None, event.delta)
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
        if item is not None and item.type == "function_call":
            index = self._tools.setdefault(event.output_index, len(self._tools))
            yield ToolCall(index, item.call_id, item.name, "")

    def _response(self, what: str, response: _Response) -> Iterator[Event]:
        self._model = response.model or self._model
        if response.usage is not None:
            yield Usage(response.usage.input_tokens, response.usage.output_tokens)
        if what == "response.completed":
            self._finish_reason = "tool_calls" if self._tools else "stop"
        elif what == "response.incomplete":
            reason = (response.incomplete_details or _Incomplete()).reason or "incomplete"
            self._finish_reason = _FINISH_REASONS.get(reason, reason)
        self.complete = self._finish_reason is not None

    def finish(self) -> Finish:
        """The end. Raises :class:`~providers.errors.UpstreamDisconnected` if the response never ended."""
        if self._finish_reason is None:
            raise disconnected("no_finish_reason")
        return Finish(self._finish_reason, self._model)


def _text(delta: object) -> Iterator[Event]:
    if delta and isinstance(delta, str):
        yield Text(delta)


def _flat_error(event: _Event) -> dict[str, Any]:
    """An ``error`` event has its code beside its type, where ``error`` is the type of the event."""
    return {"code": event.code, "message": event.message, "param": event.param}
