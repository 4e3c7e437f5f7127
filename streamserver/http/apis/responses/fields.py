"""The fields of a Responses request, and the request that they ask for.

Source: OpenAI's API reference, "Create a model response".
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from providers.base import ChatRequest, Source
from streamserver.core.refusals import Refusal, invalid
from streamserver.http.apis.responses.tools import read_tool_choice, read_tools
from streamserver.http.apis.responses.turns import newest_prompt_field, read_turns
from streamserver.http.apis.wires import Effort, max_tokens_of, read_as
from streamserver.http.context import RequestContext
from streamserver.http.conversation import check_conversation
from streamserver.http.request_body import quotable
from streamserver.wire.responses_object import ECHOED


class ReasoningFields(msgspec.Struct, frozen=True):
    """The wanted amount of reasoning. Its other fields reach a provider of the same protocol untouched."""

    effort: Effort | None = None
    summary: str | None = None


class TextFields(msgspec.Struct, frozen=True):
    """The form of the answer."""

    format: dict[str, Any] | None = None
    verbosity: str | None = None


class ResponsesToolFields(msgspec.Struct, frozen=True):
    """A tool. A type other than ``function`` and ``custom`` is a hosted tool."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


_METADATA_ENTRIES, _METADATA_NAME_CHARS, _METADATA_VALUE_CHARS = 16, 64, 512
"""OpenAI's bounds of ``metadata``."""


class ResponsesFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that are read here. All others reach a provider of the same protocol untouched."""

    model: Annotated[str, Meta(min_length=1)]
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, description="a whole number from 1")] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2, description="a number from 0 to 2")] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")] | None = None
    tools: list[ResponsesToolFields] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextFields | None = None
    reasoning: ReasoningFields | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    # Only a provider of the same protocol gets these. Their types are checked for each.
    include: list[str] | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    truncation: str | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20, description="a whole number from 0 to 20")] | None = None
    max_tool_calls: int | None = None
    stream_options: dict[str, Any] | None = None


def read_fields(body: dict[str, Any]) -> ResponsesFields:
    """Return the fields of ``body``. Raises a refusal that names the wrong one, or one that is not supported."""
    fields = read_as(body, ResponsesFields)
    if fields.previous_response_id is not None:
        raise Refusal(
            "previous_response_not_found",
            f"Previous response with id '{fields.previous_response_id[:64]}' not found.",
            field="previous_response_id",
        )
    for name in ("conversation", "prompt"):
        if getattr(fields, name) is not None:
            raise Refusal("unsupported_parameter", f"{name} is not supported by this server.", field=name)
    _check_metadata(fields.metadata)
    if not fields.input and not fields.instructions:
        raise invalid("input", "input is empty.")
    return fields


def _check_metadata(metadata: dict[str, Any] | None) -> None:
    """Refuse metadata beyond the API's own bounds: every event that repeats the Response repeats it."""
    if metadata is None:
        return
    if len(metadata) > _METADATA_ENTRIES:
        raise invalid("metadata", f"metadata has at most {_METADATA_ENTRIES} entries.")
    for name, value in metadata.items():
        if len(name) > _METADATA_NAME_CHARS or not isinstance(value, str) or len(value) > _METADATA_VALUE_CHARS:
            raise invalid(
                f"metadata.{quotable(name)}",
                f"Expected a name of at most {_METADATA_NAME_CHARS} characters, and a string of at most "
                f"{_METADATA_VALUE_CHARS}.",
            )


def read_request(context: RequestContext, body: dict[str, Any], fields: ResponsesFields, model: str) -> ChatRequest:
    """Return what to ask ``model``; item references in ``body`` are resolved. Raises a refusal that names the field."""
    messages, unknown = read_turns(fields.instructions, body.get("input") or [])
    if not messages:
        raise invalid("input", "Expected a message, or the result of a tool call.")
    tools = read_tools(body.get("tools"))
    tool_choice = read_tool_choice(fields.tool_choice)
    # Whatever reaches a provider counts.
    check_conversation(
        messages,
        [*(tools or ()), *unknown],
        tool_choice,
        context.settings,
        prompt_field=newest_prompt_field(body.get("input") or []),
        conversation_field="input",
    )
    return ChatRequest(
        messages=messages,
        model=model,
        max_tokens=max_tokens_of(context, body, "max_output_tokens"),
        temperature=fields.temperature,
        top_p=fields.top_p,
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=fields.parallel_tool_calls,
        response_format=_response_format(fields.text),
        reasoning_effort=None if fields.reasoning is None else fields.reasoning.effort,
        user=fields.user,
        source=Source(protocol="responses", body=body),
    )


def echo_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that the Response repeats."""
    return {name: body[name] for name in ECHOED if body.get(name) is not None}


def _response_format(text: TextFields | None) -> dict[str, Any] | None:
    match text and text.format:
        case {"type": "json_schema", "schema": dict(schema), **rest}:
            fields = {name: rest[name] for name in ("name", "description", "strict") if rest.get(name) is not None}
            return {"type": "json_schema", "json_schema": {"name": "response", **fields, "schema": schema}}
        case {"type": "json_object"}:
            return {"type": "json_object"}
        case {"type": "json_schema"}:
            raise invalid("text.format.schema", "Expected a JSON schema.")
        case None | {"type": "text"}:
            return None
        case _:
            raise invalid("text.format.type", "Expected text, json_object or json_schema.")
