"""The fields of a Messages request, and the request that they ask for.

Source: Anthropic's API reference, "Create a Message".
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from multidict import CIMultiDictProxy

from providers.base import ChatRequest, Source
from streamserver.core.refusals import invalid
from streamserver.http.apis.messages.tools import read_tool_choice, read_tools
from streamserver.http.apis.messages.turns import newest_prompt_field, read_turns
from streamserver.http.apis.wires import max_tokens_of
from streamserver.http.context import RequestContext
from streamserver.http.conversation import check_conversation

_LOW_BUDGET, _MEDIUM_BUDGET = 4_000, 16_000
"""Tokens of a thinking budget below which the effort is ``low``, and ``medium``."""


class OutputConfig(msgspec.Struct, frozen=True):
    """The wanted form of the answer."""

    effort: str | None = None
    format: dict[str, Any] | None = None


class MessagesMetadata(msgspec.Struct, frozen=True):
    """The caller's facts about its own request."""

    user_id: str | None = None


class ThinkingFields(msgspec.Struct, frozen=True):
    """The wanted amount of thinking."""

    type: str
    budget_tokens: int | None = None


class MessagesToolFields(msgspec.Struct, frozen=True):
    """A tool. A type other than ``custom`` is a server tool of Anthropic's."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None


class MessagesFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that are read here. All others reach a provider of the same protocol untouched."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[dict[str, Any]], Meta(min_length=1, description="a list of at least one message")]
    max_tokens: Annotated[int, Meta(ge=0, description="a whole number from 1")] | None = None
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")] | None = None
    top_k: Annotated[int, Meta(ge=0, description="a whole number from 0")] | None = None
    tools: list[MessagesToolFields] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: ThinkingFields | None = None
    output_config: OutputConfig | None = None
    metadata: MessagesMetadata | None = None
    # Only a provider of the same protocol gets these. Their types are checked for each.
    service_tier: str | None = None
    cache_control: dict[str, Any] | None = None
    speed: str | None = None
    inference_geo: str | None = None
    container: str | dict[str, Any] | None = None
    context_management: dict[str, Any] | None = None
    mcp_servers: list[dict[str, Any]] | None = None


def read_max_tokens(context: RequestContext, fields: MessagesFields, *, warms_cache: bool) -> int:
    """Return the limit of the answer's length. Raises a refusal.

    ``warms_cache``: the provider takes a limit of 0, which answers nothing and fills its prompt cache.
    """
    if fields.max_tokens is None:
        raise invalid("max_tokens", "max_tokens is missing; expected a whole number from 1.")
    if fields.max_tokens == 0 and warms_cache:
        return 0
    return max_tokens_of(context, {"max_tokens": fields.max_tokens}, "max_tokens")


def read_request(
    context: RequestContext, body: dict[str, Any], fields: MessagesFields, model: str, max_tokens: int
) -> ChatRequest:
    """Return what to ask ``model``. Raises a refusal that names the wrong field."""
    messages = read_turns(fields.system, fields.messages)
    tools = read_tools(body.get("tools"))
    tool_choice, parallel = read_tool_choice(fields.tool_choice) if tools else (None, None)
    prompt_field = newest_prompt_field(fields.messages)
    check_conversation(messages, tools, tool_choice, context.settings, prompt_field=prompt_field)
    return ChatRequest(
        messages=messages,
        model=model,
        max_tokens=max_tokens,
        temperature=fields.temperature,
        top_p=fields.top_p,
        stop=tuple(fields.stop_sequences or ()),
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=parallel,
        response_format=_response_format(fields.output_config),
        reasoning_effort=_effort(fields),
        user=fields.metadata.user_id if fields.metadata else None,
        source=Source(protocol="messages", body=body, headers=_forwarded(context.http.headers)),
    )


def _forwarded(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    betas = headers.getall("anthropic-beta", ())
    return {"anthropic-beta": ",".join(betas)} if betas else {}


def _effort(fields: MessagesFields) -> str | None:
    match fields.output_config and fields.output_config.effort, fields.thinking:
        case str(effort), _:
            return effort
        case _, ThinkingFields(type="disabled"):
            return "none"
        case _, ThinkingFields(type="enabled", budget_tokens=int(budget)):
            return "low" if budget < _LOW_BUDGET else "medium" if budget < _MEDIUM_BUDGET else "high"
        case _:
            return None


def _response_format(output_config: OutputConfig | None) -> dict[str, Any] | None:
    match output_config and output_config.format:
        case {"type": "json_schema", "schema": dict(schema), **rest}:
            name = rest.get("name") if isinstance(rest.get("name"), str) else "response"
            return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}
        case _:
            return None
