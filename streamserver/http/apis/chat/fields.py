"""The fields of a chat completion request, and the request that they ask for.

Source: OpenAI's API reference, "Create chat completion".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from providers.base import ChatRequest, Message, Source
from providers.conversation import read_messages
from providers.validation import Invalid
from streamserver.core.refusals import invalid
from streamserver.http.apis.wires import Effort, as_refusal, max_tokens_of
from streamserver.http.context import RequestContext
from streamserver.http.conversation import check_conversation


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class FunctionFields(msgspec.Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolFields(msgspec.Struct, frozen=True):
    """A tool. Types other than ``function`` are their vendor's."""

    type: str
    function: FunctionFields | None = None


class ResponseFormatFields(msgspec.Struct, frozen=True):
    type: str


class ChatCompletionFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that are read here. All others reach a provider of the same protocol untouched."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[dict[str, Any]], Meta(min_length=1, description="a list of at least one message")]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2, description="a number from 0 to 2")] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    tools: list[ToolFields] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormatFields | None = None
    reasoning_effort: Effort | None = None
    user: str | None = None
    n: Annotated[int, Meta(ge=1, le=128, description="a whole number from 1 to 128")] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2, description="a number from -2 to 2")] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2, description="a number from -2 to 2")] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20, description="a whole number from 0 to 20")] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1, description="a whole number from 1")] | None = None
    max_tokens: Annotated[int, Meta(ge=1, description="a whole number from 1")] | None = None
    # Only a provider of the same protocol gets these. Their types are checked for each.
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    seed: int | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    verbosity: str | None = None
    logprobs: bool | None = None
    logit_bias: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def read_request(
    context: RequestContext, body: dict[str, Any], fields: ChatCompletionFields, model: str
) -> ChatRequest:
    """Return what to ask ``model``. Raises a refusal that names the wrong field."""
    try:
        messages = _read_messages(fields.messages)
    except Invalid as error:
        raise as_refusal(error) from None
    _check_tools(fields.tools)
    tools = body.get("tools") or None
    check_conversation(messages, tools, fields.tool_choice, context.settings)
    stop = fields.stop
    return ChatRequest(
        messages=messages,
        model=model,
        max_tokens=max_tokens_of(context, body, "max_completion_tokens", "max_tokens"),
        temperature=fields.temperature,
        top_p=fields.top_p,
        stop=() if stop is None else (stop,) if isinstance(stop, str) else tuple(stop),
        tools=tools,
        tool_choice=fields.tool_choice,
        parallel_tool_calls=fields.parallel_tool_calls,
        response_format=body.get("response_format"),
        reasoning_effort=fields.reasoning_effort,
        user=fields.user,
        source=Source(protocol="chat", body=body),
    )


def _read_messages(entries: Sequence[dict[str, Any]]) -> list[Message]:
    """Return the messages of ``entries``. Raises :class:`~providers.validation.Invalid`.

    The deprecated role ``function`` is read as ``tool``, with the caller's word in ``extra``: a provider of the same
    protocol gets the entry as it came, others refuse it.
    """
    is_old = [entry.get("role") == "function" for entry in entries]
    current = [{**entry, "role": "tool"} if old else entry for entry, old in zip(entries, is_old, strict=True)]
    return [
        replace(message, extra={**message.extra, "role": "function"}) if old else message
        for message, old in zip(read_messages(current), is_old, strict=True)
    ]


def _check_tools(tools: Sequence[ToolFields] | None) -> None:
    for number, tool in enumerate(tools or ()):
        if tool.type == "function" and tool.function is None:
            raise invalid(f"tools[{number}].function", "Expected an object with a name.")
