"""Asking one provider, built from its table as the server builds it, but bare: no retries, no deadlines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.base import ChatRequest, Event, Message, Provider, Reasoning, Text
from providers.options import ApiOptions, Context
from providers.registry import load_registry
from providers.tables import read_options
from providers.transport import Transport

REGISTRY = load_registry(plugins=())


def build(table: Mapping[str, Any], transport: Transport, *, key: str | None = None) -> Provider:
    """Return the provider of a ``[providers.x]`` table. ``key`` is what its variable holds."""
    options = read_options("x", table, REGISTRY)
    named = isinstance(options, ApiOptions) and options.api_key_env is not None
    context = Context("x", transport, api_key=key if named else None)
    return REGISTRY.kind(options.kind).create(options, context)


def request(*messages: Message, model: str = "m", max_tokens: int = 100, **fields: Any) -> ChatRequest:
    """Return a request; without messages, a user's ``hello``."""
    said = messages or (Message(role="user", content="hello"),)
    return ChatRequest(messages=said, model=model, max_tokens=max_tokens, **fields)


async def ask(provider: Provider, asked: ChatRequest | None = None) -> list[Event]:
    """Return all events of one answer."""
    return [event async for event in provider.stream(asked or request())]


def text_in(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def reasoning_in(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Reasoning))
