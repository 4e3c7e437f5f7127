"""The fields of a native request, from a body or a query, and the task that they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from providers.base import ChatRequest, Message
from providers.catalog import Catalog
from providers.conversation import read_messages
from providers.validation import Invalid, convert
from streamserver.config.settings import Settings
from streamserver.core.caller import Permissions
from streamserver.core.model_selection import select_model
from streamserver.core.refusals import invalid
from streamserver.core.task import ChatTask
from streamserver.http.apis.wires import as_refusal
from streamserver.http.conversation import check_conversation
from streamserver.http.query import is_number

QUERY_FIELDS = frozenset({"prompt", "system", "provider", "model", "max_tokens", "temperature", "grace"})
"""What a GET may say in its query, besides ``idempotency_key`` and ``last_event_id``."""


class ChatFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a POST, or the query of a GET. ``max_tokens`` and ``grace`` have upper bounds in the settings."""

    prompt: Annotated[str, Meta(description="a string")] | None = None
    messages: list[Message] | None = None
    system: str | None = None
    provider: str | None = None
    model: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, description="a whole number from 1")] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2, description="a number from 0 to 2")] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    grace: Annotated[float, Meta(ge=0, description="seconds, 0 or more")] | None = None


def fields_of_query(query: Mapping[str, str]) -> ChatFields:
    """Return the fields of a GET. Numbers are written in decimal."""
    values: dict[str, Any] = {name: query[name] for name in QUERY_FIELDS & query.keys()}
    for name in ("max_tokens", "temperature", "grace"):
        text = values.get(name)
        if text is not None:
            if not is_number(text):
                raise invalid(name, f"{name} is not a number.")
            values[name] = int(text) if text.lstrip("-").isdigit() else float(text)
    return _convert(values)


def fields_of_body(body: dict[str, Any]) -> ChatFields:
    """Return the fields of a POST's JSON object. Raises a refusal that names the wrong field."""
    return _convert(body)


def read_task(
    fields: ChatFields, settings: Settings, catalog: Catalog, permissions: Permissions, *, grace_seconds: float
) -> ChatTask:
    """Return the task that ``fields`` ask for.

    Raises :class:`~streamserver.core.refusals.Refusal`, an ``invalid_request`` that names the field.
    """
    messages = _messages(fields)
    check_conversation(
        messages,
        fields.tools,
        fields.tool_choice,
        settings,
        prompt_field=None if fields.prompt is None else "prompt",
        conversation_field="messages" if fields.prompt is None else "prompt",
    )
    max_tokens = fields.max_tokens or permissions.max_tokens
    if max_tokens > permissions.max_tokens:
        raise invalid("max_tokens", f"max_tokens is at most {permissions.max_tokens}.")
    entry, model = select_model(fields.provider, fields.model, catalog, permissions)
    request = ChatRequest(
        messages=messages,
        model=model,
        max_tokens=max_tokens,
        temperature=fields.temperature,
        tools=fields.tools,
        tool_choice=fields.tool_choice,
    )
    return ChatTask(request=request, entry=entry, grace_seconds=grace_seconds)


def _convert(values: dict[str, Any]) -> ChatFields:
    try:
        if isinstance(values.get("messages"), list):
            values = {**values, "messages": read_messages(values["messages"])}
        return convert(values, ChatFields)
    except Invalid as wrong:
        raise as_refusal(wrong) from None


def _messages(fields: ChatFields) -> list[Message]:
    if fields.messages is None:
        if fields.prompt is None:
            raise invalid("prompt", "A prompt is missing; send prompt, or messages.")
        if not fields.prompt:
            raise invalid("prompt", "prompt is empty.")
        messages = [Message(role="user", content=fields.prompt)]
    elif fields.prompt is not None:
        raise invalid("prompt", "Send either prompt or messages, not both.")
    else:
        messages = fields.messages
        if not any(map(_has_content, messages)):
            raise invalid("messages", "messages is empty.")
    if fields.system:
        messages = [Message(role="system", content=fields.system), *messages]
    return messages


def _has_content(message: Message) -> bool:
    if isinstance(message.content, list):
        return any(part["type"] != "text" or part["text"] for part in message.content)
    return bool(message.content or message.tool_calls or message.refusal)
