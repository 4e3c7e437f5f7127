"""Requests in the form of chat completions, for providers that translate them into another protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from providers.base import ChatRequest, Message
from providers.errors import InvalidRequest, UpstreamDetail
from providers.lenient import as_object, as_word

_CALLERS_NAMES: Mapping[str, Mapping[str, str]] = {
    "responses": {
        "messages": "input",
        "response_format": "text.format",
        "reasoning_effort": "reasoning.effort",
    },
    "messages": {
        "response_format": "output_config.format",
        "reasoning_effort": "output_config.effort",
        "stop": "stop_sequences",
    },
}
"""A protocol's names of fields of chat completions, where it has others."""

_ANSWER_FIELDS: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "prediction": (),
    "modalities": (["text"], []),
    "audio": (),
    "web_search_options": (),
    "functions": ([],),
    "function_call": ("none", "auto"),
}
"""Parameters of chat completions that change the answer's shape and have no equal elsewhere, with the values that
ask for nothing. A null asks for nothing either."""


_VENDORS_PARTS = frozenset({"image", "document", "input_image"})
"""Types of parts with ids that only their vendor knows; images with data or an address have the type ``image_url``."""


class FunctionCall(msgspec.Struct, frozen=True):
    """A tool call of an earlier turn. ``arguments`` is JSON text, or a ``custom`` tool's input."""

    id: str
    name: str
    arguments: str
    custom: bool = False


def unsupported(request: ChatRequest, field: str, message: str) -> InvalidRequest:
    """Return the error for ``field`` of chat completions, which the provider cannot express; nothing was sent.

    Its ``detail.param`` and its message name the field in the spelling of the caller's protocol. The position of a
    message is left out where the caller's list of them is another one.
    """
    protocol = request.source.protocol if request.source is not None else None
    if protocol != "chat":
        field = "messages" if field.startswith("messages[") else field
        field = _CALLERS_NAMES.get(protocol or "", {}).get(field, field)
    return InvalidRequest(f"{field}: {message}", detail=UpstreamDetail(param=field), sent=False)


def chat_parameters(request: ChatRequest) -> Mapping[str, Any]:
    """Return the parameters of chat completions that a :class:`~providers.base.ChatRequest` has no field for."""
    source = request.source_of("chat")
    return request.extra if source is None else source.body


def check_expressible(request: ChatRequest) -> None:
    """Raise :class:`~providers.errors.InvalidRequest` for what only a provider of chat completions can answer."""
    body = chat_parameters(request)
    for field, neutral in _ANSWER_FIELDS.items():
        value = body.get(field)
        if value is not None and not any(value == each and type(value) is type(each) for each in neutral):
            raise unsupported(request, field, "this provider has no such parameter.")
    for number, message in enumerate(request.messages):
        for field in ("audio", "function_call", "role"):
            if field in message.extra:
                raise unsupported(request, f"messages[{number}].{field}", "this provider has no such field or role.")


def check_source(request: ChatRequest) -> None:
    """Raise :class:`~providers.errors.InvalidRequest` for what only the vendor of another protocol can do: its hosted
    tools and connectors, and images and documents that it keeps."""
    source = request.source
    if source is None or source.protocol == "chat":
        return
    if source.protocol == "messages":
        _check_messages(request, source.body)
    for number, tool in enumerate(request.tools or ()):
        if tool.get("type") not in ("function", "custom"):
            raise unsupported(request, f"tools[{number}].type", "this provider takes tools of the type function only.")
    for number, message in enumerate(request.messages):
        parts = message.content if isinstance(message.content, list) else ()
        if any(part["type"] in _VENDORS_PARTS for part in parts):
            field = f"messages[{number}].content"
            raise unsupported(request, field, "this provider takes images and documents by their data or address only.")


def _check_messages(request: ChatRequest, body: Mapping[str, Any]) -> None:
    """Raise :class:`~providers.errors.InvalidRequest` for what no other protocol than Anthropic's has."""
    for field in ("mcp_servers", "container"):
        if body.get(field):
            raise unsupported(request, field, "this provider has no such parameter.")
    output = body.get("output_config")
    if isinstance(output, dict) and output.get("format") and request.response_format is None:
        raise unsupported(request, "response_format", "this provider takes a json_schema with a schema only.")


def function_calls(request: ChatRequest, message: Message, field: str) -> Iterator[FunctionCall]:
    """Yield the tool calls of ``message``, which is at ``field``.

    Raises :class:`~providers.errors.InvalidRequest` for one that is of no known form.
    """
    for number, call in enumerate(message.tool_calls or ()):
        match call:
            case {"type": "custom", "custom": {"name": str(name), "input": str(text)}}:
                yield FunctionCall(as_word(call.get("id")) or "", name, text, custom=True)
            case {"function": {"name": str(name), **function}}:
                arguments = function.get("arguments")
                if not isinstance(arguments, str):
                    arguments = msgspec.json.encode(arguments or {}).decode()
                yield FunctionCall(as_word(call.get("id")) or "", name, arguments or "{}")
            case _:
                raise unsupported(
                    request, f"{field}.tool_calls[{number}]", "expected a function with a name and its arguments."
                )


def tool_names(tools: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of ``tools``, which are in the form of chat completions."""
    described = (as_object(tool.get(str(tool.get("type")))) for tool in tools)
    return frozenset(name for tool in described if (name := as_word(tool.get("name"))))


def allowed_tools(choice: object) -> tuple[str, list[Any]] | None:
    """Return the mode and the tools of a ``tool_choice`` that limits the tools, None if it does not."""
    match choice:
        case {"type": "allowed_tools", "allowed_tools": {"mode": str(mode), "tools": list(tools)}}:
            return mode, tools
        case _:
            return None
