"""The text in a request: what a model is made to read, and its owner to pay for by length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from providers.base import Message

_BINARY_KEYS = frozenset({"image_url", "input_audio", "file"})
_VOCABULARY = frozenset(
    (
        *("arguments", "custom", "file", "format", "function", "id", "image_url", "index", "input_audio", "name"),
        *("additionalProperties", "allOf", "anyOf", "array", "boolean", "const", "default", "description", "enum"),
        *("integer", "items", "maximum", "minimum", "null", "number", "object", "oneOf", "parameters", "properties"),
        *("refusal", "required", "strict", "string", "text", "title", "type"),
    )
)
"""Keys and types of the API and of JSON Schema: a caller's own words are text, these are not."""


def texts(
    messages: Iterable[Message],
    tools: list[dict[str, Any]] | None = None,
    tool_choice: str | dict[str, Any] | None = None,
) -> Iterator[str]:
    """Every text of a request, tools and tool calls too, without what its images and files are made of."""
    for message in messages:
        yield from _texts_of(message)
    yield from _strings(tools)
    if isinstance(tool_choice, dict):
        yield from _strings(tool_choice)


def said(message: Message) -> str:
    """What a message says: its content, or the parts of it that are text."""
    if isinstance(message.content, list):
        return "".join(part["text"] for part in message.content if part.get("type") == "text")
    return message.content or ""


def _texts_of(message: Message) -> Iterator[str]:
    yield message.name or ""
    yield message.refusal or ""
    if isinstance(message.content, list):
        for part in message.content:
            yield from _strings({key: value for key, value in part.items() if key not in _BINARY_KEYS})
    else:
        yield message.content or ""
    yield from _strings(message.tool_calls)


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, its keys too, but for the API's own words."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _strings(item)
        case dict():
            for key, item in value.items():
                if key not in _VOCABULARY:
                    yield key
                if key != "type" or not isinstance(item, str) or item not in _VOCABULARY:
                    yield from _strings(item)
