"""A request in OpenAI's form, translated to the Messages API's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from providers.base import ChatRequest, Message
from providers.errors import InvalidRequest

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


# Parameters of chat completions that have the same meaning here, by their names there.
_SHARED_PARAMETERS = {"top_p": "top_p", "stop": "stop_sequences"}


def payload(request: ChatRequest, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The body of ``POST /v1/messages``.

    ``extra`` is in this API's form, the request's own in OpenAI's, of which only what this API has too is taken;
    both give way to the keys set here. ``max_tokens`` is the answer's: a budget for thinking comes on top.
    Raises :class:`~providers.errors.InvalidRequest` for what the API cannot say.
    """
    body: dict[str, Any] = {
        **extra,
        **_shared(request.extra),
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": _turns(request.messages),
        "stream": True,
    }
    system = "\n\n".join(_text(message) for message in request.messages if message.role in ("system", "developer"))
    if system:
        body["system"] = system
    if request.temperature is not None:
        # 0 to 1 here, 0 to 2 in OpenAI's form.
        body["temperature"] = min(request.temperature, 1.0)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
    _settle_thinking(body, request.messages)
    return body


def _shared(extra: Mapping[str, Any]) -> dict[str, Any]:
    shared = {ours: extra[theirs] for theirs, ours in _SHARED_PARAMETERS.items() if extra.get(theirs) is not None}
    if isinstance(shared.get("stop_sequences"), str):
        shared["stop_sequences"] = [shared["stop_sequences"]]
    return shared


def _settle_thinking(body: dict[str, Any], messages: Sequence[Message]) -> None:
    """Take out what the API refuses beside thinking, or thinking itself where it cannot be."""
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") == "disabled":
        return
    budget = thinking.get("budget_tokens")
    if budget is not None and messages[-1].role == "tool":
        # It would have to go on from signed thoughts, which OpenAI's form of a conversation does not carry.
        del body["thinking"]
        return
    body.pop("temperature", None)
    body.pop("top_k", None)
    if isinstance(budget, int):
        body["max_tokens"] += budget


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Turns of ``user`` and ``assistant``; the results of tools are the user's."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role in ("system", "developer"):
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = list(_blocks(message))
        if message.role == "tool" and turns and turns[-1]["role"] == "user":
            turns[-1]["content"].extend(blocks)
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"type": "tool_result", "tool_use_id": message.tool_call_id or "", "content": _text(message)}
        return
    match message.content:
        case str() if message.content:
            yield {"type": "text", "text": message.content}
        case list():
            for part in message.content:
                yield _part(part)
    for call in message.tool_calls or ():
        function = call.get("function") or {}
        yield {
            "type": "tool_use",
            "id": call.get("id", ""),
            "name": function.get("name", ""),
            "input": _arguments(function.get("arguments")),
        }


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"type": "text", "text": part["text"]}
    if part.get("type") == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        if isinstance(url, str):
            if data := _DATA_URL.fullmatch(url):
                return {"type": "image", "source": {"type": "base64", "media_type": data[1], "data": data[2]}}
            return {"type": "image", "source": {"type": "url", "url": url}}
    raise InvalidRequest("This provider takes parts of the types text and image_url only.", sent=False)


def _text(message: Message) -> str:
    if isinstance(message.content, list):
        return "".join(part["text"] for part in message.content if part.get("type") == "text")
    return message.content or ""


def _arguments(arguments: object) -> Any:
    """A tool call's arguments, which OpenAI has as JSON in a string, as the object it stands for."""
    try:
        value = json.loads(arguments) if isinstance(arguments, str) and arguments else {}
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest("The arguments of a tool call are not a JSON object.", sent=False)
    return value


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        return tool  # one of Anthropic's own
    translated = {"name": function.get("name", ""), "input_schema": function.get("parameters") or {"type": "object"}}
    if "description" in function:
        translated["description"] = function["description"]
    return translated


def _tool_choice(choice: str | dict[str, Any]) -> dict[str, Any]:
    match choice:
        case "required":
            return {"type": "any"}
        case str():
            return {"type": choice}
        case {"type": "function", "function": {"name": name}}:
            return {"type": "tool", "name": name}
        case _:
            return choice
