"""The Responses API: a request in its form.

Source: OpenAI's API reference, "Create a model response".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from providers.base import ChatRequest, Message
from providers.errors import InvalidRequest

PATH = "responses"


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
