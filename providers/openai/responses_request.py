"""The Responses API: a request in its form.

Source: OpenAI's API reference, "Create a model response".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from providers.base import ChatRequest
from providers.chat_form import allowed_tools, chat_parameters, check_expressible, check_source, unsupported
from providers.foreign_reasoning import own_input
from providers.openai.responses_input import input_items

PATH = "responses"

_SHARED_PARAMETERS = ("service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")
"""Parameters of chat completions that exist here under the same name; what else there is has no meaning here."""


def payload(request: ChatRequest, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of ``POST …/responses``.

    A body of this protocol goes out as it came, but for the model, the limit, streaming and storage. Configured
    ``extra`` parameters are in this API's form too, and give way to the request's.
    Raises :class:`~providers.errors.InvalidRequest` for what the API cannot express.
    """
    if (source := request.source_of("responses")) is not None:
        body = {**extra, **own_input(source.body, request.model, stored=bool(extra.get("store")))}
        body.pop("background", None)
    else:
        body = _merged(extra, _translated(request))
    # OpenAI keeps every answer for 30 days unless told not to.
    body["store"] = extra.get("store", False)
    body["model"] = request.model
    body["max_output_tokens"] = request.max_tokens
    body["stream"] = True
    return body


def _merged(*tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables in one, in which later ones win; tables inside them are merged likewise."""
    merged: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            before = merged.get(key)
            merged[key] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _translated(request: ChatRequest) -> dict[str, Any]:
    check_expressible(request)
    check_source(request)
    if request.stop:
        raise unsupported(request, "stop", "OpenAI's Responses API has no stop sequences.")
    given = chat_parameters(request)
    body = {name: given[name] for name in _SHARED_PARAMETERS if given.get(name) is not None}
    for name in ("temperature", "top_p", "parallel_tool_calls", "user"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.reasoning_effort is not None:
        body["reasoning"] = {"effort": request.reasoning_effort}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
    if text := dict(_text(request)):
        body["text"] = text
    return {**body, "input": input_items(request)}


def _text(request: ChatRequest) -> Iterator[tuple[str, Any]]:
    verbosity = chat_parameters(request).get("verbosity")
    if verbosity is not None:
        yield "verbosity", verbosity
    match request.response_format:
        case None:
            pass
        case {"type": "json_schema", "json_schema": dict(schema)}:
            yield "format", {**schema, "type": "json_schema"}
        case wanted:
            yield "format", wanted


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    match tool:
        case {"type": "function", "function": dict(function)}:
            # Absent means strict here, and not strict in chat completions.
            return {"parameters": {"type": "object", "properties": {}}, "strict": False, **function, "type": "function"}
        case {"type": "custom", "custom": dict(custom)}:
            return {**_flat_format(custom), "type": "custom"}
        case _:
            return tool  # one of OpenAI's own, such as web_search


def _flat_format(custom: dict[str, Any]) -> dict[str, Any]:
    """Return a custom tool with a flat ``format``; chat completions nest the grammar in an object."""
    match custom.get("format"):
        case {"type": "grammar", "grammar": dict(grammar)}:
            return {**custom, "format": {"type": "grammar", **grammar}}
        case _:
            return custom


def _tool_choice(choice: str | dict[str, Any]) -> str | dict[str, Any]:
    if (allowed := allowed_tools(choice)) is not None:
        mode, tools = allowed
        return {"type": "allowed_tools", "mode": mode, "tools": [_tool_name(tool) for tool in tools]}
    return choice if isinstance(choice, str) else _tool_name(choice)


def _tool_name(choice: Any) -> Any:
    match choice:
        case {"type": "function", "function": {"name": name}} | {"type": "custom", "custom": {"name": name}}:
            return {"type": choice["type"], "name": name}
        case _:
            return choice
