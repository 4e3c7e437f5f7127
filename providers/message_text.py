"""The text in a request: what the model reads, and what is paid for by its length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from providers.base import REASONING_FIELDS, Message

_BINARY_KEYS = frozenset({"image_url", "input_audio", "file"})
_VOCABULARY = frozenset(
    (
        *("arguments", "custom", "file", "format", "function", "id", "image_url", "index", "input_audio", "name"),
        *("additionalProperties", "allOf", "anyOf", "array", "boolean", "const", "default", "description", "enum"),
        *("integer", "items", "maximum", "minimum", "null", "number", "object", "oneOf", "parameters", "properties"),
        *("refusal", "required", "strict", "string", "text", "title", "type"),
    )
)
"""Keys and types of the API and of JSON Schema. Each counts as one character: a caller cannot word them
otherwise, but could repeat them ten thousand times."""


def request_texts(
    messages: Iterable[Message],
    tools: list[dict[str, Any]] | None = None,
    tool_choice: str | dict[str, Any] | None = None,
) -> Iterator[str]:
    """Yield every text of a request, tools and tool calls included, without the data of images and files."""
    for message in messages:
        yield from _message_texts(message)
    for tool in tools or ():
        yield from _strings(tool)
    if isinstance(tool_choice, dict):
        yield from _strings(tool_choice)


def text_of(message: Message) -> str:
    """Return the content of a message, or those of its parts that are text."""
    if isinstance(message.content, list):
        return "".join(part["text"] for part in message.content if part.get("type") == "text")
    return message.content or ""


def is_text(message: Message) -> bool:
    """Return whether a message has nothing but text as its content."""
    return not isinstance(message.content, list) or all(part.get("type") == "text" for part in message.content)


def _message_texts(message: Message) -> Iterator[str]:
    yield message.name or ""
    yield message.refusal or ""
    yield message.tool_call_id or ""
    if isinstance(message.content, list):
        for part in message.content:
            yield from _part_texts(part)
    else:
        yield message.content or ""
    for call in message.tool_calls or ():
        yield from _strings(call)
    for name, value in message.extra.items():
        yield name
        yield from _strings(value)
    if not message.extra.keys() & REASONING_FIELDS:  # else they were counted as what they were read from
        for block in message.reasoning:
            yield block.text
            yield from _strings(block.opaque.data if block.opaque is not None else None)


def _part_texts(part: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of a part. Its own keys count nothing: a text is as long in a part as in a string."""
    for key, value in part.items():
        if key in _BINARY_KEYS:
            continue
        if key not in _VOCABULARY:
            yield key
        if key != "type" or not isinstance(value, str) or value not in _VOCABULARY:
            yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    """Yield the strings, keys and numbers of a JSON value, and a character for each list and object in it."""
    match value:
        case str():
            yield value
        case list():
            yield "["
            for item in value:
                yield from _strings(item)
        case dict():
            yield "{"
            for key, item in value.items():
                yield _abridged(key)
                yield from (_abridged(item),) if key == "type" and isinstance(item, str) else _strings(item)
        case bool() | int() | float():
            yield str(value)


def _abridged(word: str) -> str:
    return word[:1] if word in _VOCABULARY else word
