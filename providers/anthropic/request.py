"""The Messages API: a request in its form.

Source: Anthropic's API reference, "Create a Message".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.anthropic.turns import has_signed_reasoning, system_text, turns
from providers.base import ChatRequest
from providers.chat_form import allowed_tools, check_expressible, check_source, unsupported
from providers.foreign_reasoning import own_messages
from providers.lenient import as_object

_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
_COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")
_LOWEST_EFFORTS: Mapping[str, str] = {"minimal": "low"}


def payload(request: ChatRequest, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of ``POST /v1/messages``.

    A body of this protocol goes out as it came, but for the model, the limit and streaming. Configured ``extra``
    parameters are in this API's form too, and give way to the request's. In translated requests ``max_tokens`` is the
    length of the answer: a configured budget for thinking comes on top.
    Raises :class:`~providers.errors.InvalidRequest` for what the API cannot express.
    """
    fixed = {"model": request.model, "max_tokens": request.max_tokens, "stream": True}
    if (source := request.source_of("messages")) is not None:
        return {**extra, **own_messages(source.body, request.model), **fixed}
    check_expressible(request)
    check_source(request)
    body = {**extra, **fixed, "messages": turns(request)}
    if system := system_text(request.messages):
        body["system"] = system
    _add_parameters(body, request)
    _add_tools(body, request)
    _settle_thinking(body, request)
    return body


def counted(request: ChatRequest) -> dict[str, Any]:
    """Return the body of ``POST /v1/messages/count_tokens``, which takes no limit and does not stream.

    Raises as :func:`payload`.
    """
    if (source := request.source_of("messages")) is not None:
        return {**own_messages(source.body, request.model), "model": request.model}
    body = payload(request, {})
    return {name: body[name] for name in _COUNTED if name in body}


def _add_parameters(body: dict[str, Any], request: ChatRequest) -> None:
    if request.temperature is not None:
        # 0 to 1 here, 0 to 2 in chat completions.
        body["temperature"] = min(request.temperature, 1.0)
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.user is not None:
        body["metadata"] = {**as_object(body.get("metadata")), "user_id": request.user}
    output = {**as_object(body.get("output_config")), **_output_config(request)}
    if output:
        body["output_config"] = output
    if request.reasoning_effort == "none":
        body["thinking"] = {"type": "disabled"}


def _output_config(request: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    match request.response_format:
        case None | {"type": "text"}:
            pass
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            config["format"] = {"type": "json_schema", "schema": schema}
        case _:
            raise unsupported(request, "response_format", "this provider takes a json_schema with a schema only.")
    effort = _LOWEST_EFFORTS.get(request.reasoning_effort or "", request.reasoning_effort)
    if effort in _EFFORTS:
        config["effort"] = effort
    return config


def _add_tools(body: dict[str, Any], request: ChatRequest) -> None:
    if not request.tools:
        return
    tools, choice = request.tools, request.tool_choice
    if (allowed := allowed_tools(choice)) is not None:
        choice, names = allowed[0], {_name(tool) for tool in allowed[1]}
        tools = [tool for tool in tools if _name(tool) in names]
    body["tools"] = [_tool(request, tool, f"tools[{number}]") for number, tool in enumerate(tools)]
    translated = None if choice is None else _tool_choice(request, choice)
    if request.parallel_tool_calls is False:
        translated = translated or {"type": "auto"}
        if translated.get("type") != "none":
            translated["disable_parallel_tool_use"] = True
    if translated is not None:
        body["tool_choice"] = translated


def _tool(request: ChatRequest, tool: dict[str, Any], field: str) -> dict[str, Any]:
    if tool.get("type") == "custom" and "custom" in tool:
        raise unsupported(request, f"{field}.type", "this provider has no tools of the type custom.")
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        return tool  # one of Anthropic's own
    translated = {"name": function.get("name", ""), "input_schema": function.get("parameters") or {"type": "object"}}
    if "description" in function:
        translated["description"] = function["description"]
    if function.get("strict"):
        translated["strict"] = True
    return translated


def _tool_choice(request: ChatRequest, choice: str | dict[str, Any]) -> dict[str, Any]:
    match choice:
        case "required":
            return {"type": "any"}
        case "auto" | "none":
            return {"type": choice}
        case {"type": "function", "function": {"name": name}}:
            return {"type": "tool", "name": name}
        case dict() if choice.get("type") in ("auto", "any", "tool", "none"):
            return dict(choice)  # in Anthropic's own form
        case _:
            raise unsupported(request, "tool_choice", "this provider has no such choice.")


def _settle_thinking(body: dict[str, Any], request: ChatRequest) -> None:
    """Remove what the API refuses beside thinking, or thinking itself where it is not possible.

    https://platform.claude.com/docs/en/build-with-claude/extended-thinking
    """
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") == "disabled":
        return
    budget = thinking.get("budget_tokens")
    is_tool_round = request.messages[-1].role == "tool"
    is_forced = as_object(body.get("tool_choice")).get("type") in ("any", "tool")
    if (budget is not None and is_tool_round and not has_signed_reasoning(request)) or is_forced:
        del body["thinking"]
        return
    body.pop("temperature", None)
    body.pop("top_k", None)
    if isinstance(budget, int):
        body["max_tokens"] += budget


def _name(tool: Any) -> object:
    match tool:
        case {"function": {"name": name}} | {"name": name}:
            return name
        case _:
            return None
