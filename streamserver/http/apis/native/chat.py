"""A request for an answer: its fields, however they came, and what they ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from msgspec import Meta

from providers.base import ChatRequest, Message
from providers.catalog import Catalog, ProviderEntry
from providers.conversation import read_messages
from providers.message_text import request_texts
from providers.validation import Invalid, convert
from streamserver.config.settings import Settings, User
from streamserver.core.model_selection import choose
from streamserver.http.body import read_object, shown
from streamserver.http.problems import Problem, invalid

QUERY_FIELDS = frozenset({"prompt", "system", "provider", "model", "max_tokens", "temperature", "grace"})
"""What a GET may say in its query, besides ``idempotency_key`` and ``last_event_id``."""

_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?([eE][+-]?\d{1,3})?")


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


class Asked(msgspec.Struct, frozen=True):
    """A valid request: what to ask of whom, and how long to go on without a reader."""

    request: ChatRequest
    configured: ProviderEntry
    grace_seconds: float


def read_query(request: web.Request, allowed: frozenset[str]) -> dict[str, str]:
    """The query's fields, each once. Raises :class:`Problem` for unknown and doubled ones."""
    _, _, raw = request.raw_path.partition("?")
    try:
        raw.encode()  # bytes that are no UTF-8 arrive as lone surrogates
        pairs = parse_qsl(raw.partition("#")[0], keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError:
        raise Problem("malformed", "The query is not percent-encoded UTF-8.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            raise invalid(shown(name), "There is no such parameter.")
        if name in fields:
            raise invalid(name, f"{name} is given more than once.")
        fields[name] = value
    return fields


def fields_of_query(query: Mapping[str, str]) -> ChatFields:
    """The fields of a GET. Numbers are written in decimal."""
    values: dict[str, Any] = {name: query[name] for name in QUERY_FIELDS & query.keys()}
    for name in ("max_tokens", "temperature", "grace"):
        text = values.get(name)
        if text is not None:
            if not is_number(text):
                raise invalid(name, f"{name} is not a number.")
            values[name] = int(text) if text.lstrip("-").isdigit() else float(text)
    return _convert(values)


def is_number(text: str) -> bool:
    """Whether a query's or a header's value is a number, in decimal."""
    return text.isascii() and _NUMBER.fullmatch(text) is not None


async def fields_of_body(request: web.Request, max_bytes: int) -> ChatFields:
    """The fields of a POST. Raises :class:`Problem` for what is no JSON object, or has wrong fields."""
    return _convert(await read_object(request, max_bytes))


def resolve(fields: ChatFields, settings: Settings, catalog: Catalog, user: User, *, grace: float | None) -> Asked:
    """What ``fields`` of a request of ``user`` ask for. ``grace`` is what a header asked for, if the fields do not say.

    Raises :class:`Problem`, a 422 that names the field.
    """
    messages = _messages(fields)
    used = sum(map(len, request_texts(messages, fields.tools, fields.tool_choice)))
    where = "messages" if fields.prompt is None else "prompt"
    limits = settings.limits
    if used > limits.max_prompt_chars:
        raise invalid(where, f"The request has {used} characters of text; the most is {limits.max_prompt_chars}.")
    most_tokens = user.max_tokens or limits.max_tokens
    max_tokens = fields.max_tokens or most_tokens
    if max_tokens > most_tokens:
        raise invalid("max_tokens", f"max_tokens is at most {most_tokens}.")
    configured, model = choose(fields.provider, fields.model, catalog, user)
    return Asked(
        ChatRequest(
            messages=messages,
            model=model,
            max_tokens=max_tokens,
            temperature=fields.temperature,
            tools=fields.tools,
            tool_choice=fields.tool_choice,
        ),
        configured,
        _grace(grace if fields.grace is None else fields.grace, settings),
    )


def _convert(values: dict[str, Any]) -> ChatFields:
    try:
        if isinstance(values.get("messages"), list):
            values = {**values, "messages": read_messages(values["messages"])}
        return convert(values, ChatFields)
    except Invalid as wrong:
        raise invalid(shown(wrong.key), f"{_capital(wrong.allowed)}.") from None


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
        if not any(map(_says_something, messages)):
            raise invalid("messages", "messages is empty.")
    if fields.system:
        messages = [Message(role="system", content=fields.system), *messages]
    return messages


def _says_something(message: Message) -> bool:
    if isinstance(message.content, list):
        return any(part["type"] != "text" or part["text"] for part in message.content)
    return bool(message.content or message.tool_calls or message.refusal)


def _grace(grace: float | None, settings: Settings) -> float:
    if grace is None:
        return settings.resume.grace_seconds
    if grace > settings.resume.max_grace_seconds:
        raise invalid("grace", f"grace is at most {settings.resume.max_grace_seconds:g} seconds.")
    return grace


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
