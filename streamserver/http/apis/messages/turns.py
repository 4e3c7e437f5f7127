"""The turns of a Messages request, in the form of chat completions."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, TypeAlias

from providers import opaque
from providers.base import Message, Opaque, ReasoningBlock
from streamserver.core.refusals import invalid
from streamserver.http.apis.wires import check_strings
from streamserver.wire.events import to_json

_BILLING_HEADER = "x-anthropic-billing-header:"
"""Claude Code begins its system text with a block that changes with every request: any other vendor's prompt cache
would never hit (https://github.com/anthropics/claude-code/issues/68900)."""
_ERROR = "Error: "
_KNOWN_SOURCES = frozenset({"base64", "url", "text", "content"})

_Block: TypeAlias = tuple[str, dict[str, Any]]
"""A content block, behind the name of its field in the request."""


def read_turns(system: str | list[dict[str, Any]] | None, messages: Sequence[dict[str, Any]]) -> list[Message]:
    """Return the conversation as messages of chat completions. Raises a refusal that names the wrong field.

    Consecutive messages of the user, or of the assistant, are one turn, as Anthropic reads them: so the results of
    tools follow their calls, however the caller divided both.
    """
    read = []
    if text := _system(system):
        read.append(Message(role="system", content=text))
    checked = [_checked(message, f"messages[{number}]") for number, message in enumerate(messages)]
    for role, group in groupby(checked, itemgetter(0)):
        turns = [blocks for _, blocks in group]
        match role:
            case "system":
                read += map(_system_turn, turns)
            case "assistant":
                read.append(_assistant(chain.from_iterable(turns)))
            case _:
                read += _user(chain.from_iterable(turns))
    return read


def newest_prompt_field(messages: Sequence[dict[str, Any]]) -> str:
    """Return the name of the field with the user's newest words, as opposed to results of tools."""
    for number in range(len(messages) - 1, -1, -1):
        content = messages[number].get("content")
        is_results = isinstance(content, list) and all(block["type"] == "tool_result" for block in content)
        if messages[number].get("role") == "user" and not is_results:
            return f"messages[{number}].content"
    return "messages"


def _system(system: str | list[dict[str, Any]] | None) -> str:
    if isinstance(system, str) or system is None:
        return system or ""
    texts = [_text(block, f"system[{number}]") for number, block in enumerate(system)]
    if texts and texts[0].startswith(_BILLING_HEADER):
        texts = texts[1:]
    return "\n\n".join(filter(None, texts))


def _text(block: object, field: str) -> str:
    if not isinstance(block, dict) or not isinstance(block.get("text"), str):
        raise invalid(field, "Expected a text block.")
    text: str = block["text"]
    return text


def _checked(message: dict[str, Any], field: str) -> tuple[str, list[_Block]]:
    """Return the role and the blocks of a message."""
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant", "system"):
        raise invalid(f"{field}.role", "Expected user or assistant.")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        raise invalid(f"{field}.content", "Expected a string, or a list of blocks.")
    named = [(f"{field}.content[{number}]", block) for number, block in enumerate(blocks)]
    for where, block in named:
        _check_block(block, where)
    return role, named


def _system_turn(blocks: Sequence[_Block]) -> Message:
    return Message(role="system", content="\n\n".join(_text(block, where) for where, block in blocks))


_BLOCK_STRINGS: Mapping[str, tuple[str, ...]] = {
    "text": ("text",),
    "thinking": ("thinking",),
    "tool_use": ("id", "name"),
    "tool_result": ("tool_use_id",),
}
"""The strings that each type of block must have."""
_SOURCE_STRINGS: Mapping[str, tuple[str, ...]] = {
    "base64": ("media_type", "data"),
    "text": ("data",),
    "url": ("url",),
}
"""The same of the source of an image or a document."""


def _check_block(block: object, field: str) -> None:
    """Refuse what is no content block, or lacks a field of its type."""
    if not isinstance(block, dict):
        raise invalid(field, "Expected a content block.")
    check_strings(block, field, "type", *_BLOCK_STRINGS.get(str(block.get("type")), ()))
    if block["type"] == "tool_use" and not isinstance(block.get("input"), dict | None):
        raise invalid(f"{field}.input", "Expected an object.")
    if block["type"] == "tool_result":
        _check_result(block, field)
    if block["type"] in ("image", "document"):
        source = block.get("source")
        if not isinstance(source, dict):
            raise invalid(f"{field}.source", "Expected an object.")
        check_strings(source, f"{field}.source", "type", *_SOURCE_STRINGS.get(str(source.get("type")), ()))


def _check_result(block: dict[str, Any], field: str) -> None:
    """Refuse a tool's result without a call, or with anything but text or blocks."""
    content = block.get("content")
    if not block["tool_use_id"]:
        raise invalid(f"{field}.tool_use_id", "Expected the id of a tool call.")
    if not isinstance(block.get("is_error"), bool | None):
        raise invalid(f"{field}.is_error", "Expected true or false.")
    if not isinstance(content, str | list | None):
        raise invalid(f"{field}.content", "Expected a string, or a list of blocks.")
    for number, each in enumerate(content if isinstance(content, list) else ()):
        _check_block(each, f"{field}.content[{number}]")


def _user(blocks: Iterable[_Block]) -> Iterator[Message]:
    """Yield the results of tools, each a turn of its own, and then the rest of the turn."""
    parts, has_results = [], False
    for where, block in blocks:
        if block["type"] == "tool_result":
            has_results = True
            yield _tool_result(block, where)
        else:
            parts.append(_part(block, where))
    if len(parts) == 1 and parts[0]["type"] == "text":
        yield Message(role="user", content=parts[0]["text"])
    elif parts or not has_results:
        yield Message(role="user", content=parts or "")


def _assistant(blocks: Iterable[_Block]) -> Message:
    texts, reasoning, calls = [], [], []
    for _, block in blocks:
        match block:
            case {"type": "thinking", "thinking": str(text)}:
                reasoning.append(ReasoningBlock(text, _signature(block.get("signature"))))
            case {"type": "redacted_thinking", "data": str(data)}:
                reasoning.append(ReasoningBlock("", Opaque("messages", "", {"data": data})))
            case {"type": "tool_use", "id": str(call_id), "name": str(name)}:
                function = {"name": name, "arguments": to_json(block.get("input") or {}).decode()}
                calls.append({"id": call_id, "type": "function", "function": function})
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case _:
                texts.append(_text_within(block))
    content = "".join(texts) or (None if calls else "")
    return Message(role="assistant", content=content, tool_calls=calls or None, reasoning=tuple(reasoning))


def _signature(signature: object) -> Opaque | None:
    """Return the opaque part of a thinking block; None for a block of another vendor, which has no signature."""
    if not isinstance(signature, str) or not signature:
        return None
    return opaque.unseal(signature) or Opaque("messages", "", {"signature": signature})


def _tool_result(block: dict[str, Any], field: str) -> Message:
    content: str | list[dict[str, Any]] = block.get("content") or ""
    if isinstance(content, list):
        content = [_part(each, f"{field}.content[{number}]") for number, each in enumerate(content)]
        if all(part["type"] == "text" for part in content):
            content = "".join(part["text"] for part in content)
    if block.get("is_error"):
        content = _marked_as_error(content)
    return Message(role="tool", tool_call_id=block["tool_use_id"], content=content)


def _marked_as_error(content: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return a failed tool's result with the mark in its text: other protocols have no field for it."""
    if isinstance(content, str):
        return content if content.startswith(_ERROR) else f"{_ERROR}{content}"
    return [{"type": "text", "text": _ERROR}, *content]


def _part(block: dict[str, Any], field: str) -> dict[str, Any]:
    """Return a block, which has been checked, as a part of a chat completion's message.

    An image or a document that is none there, such as one by the id of an uploaded file, stays as it is: its vendor
    gets the caller's own body, and any other provider refuses it.
    """
    match block:
        case {"type": "text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "image", "source": {"type": "base64", "media_type": str(kind), "data": str(data)}}:
            return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
        case {"type": "image", "source": {"type": "url", "url": str(url)}}:
            return {"type": "image_url", "image_url": {"url": url}}
        case {"type": "document", "source": {"type": "content", "content": content}}:
            return {"type": "text", "text": content if isinstance(content, str) else _text_within(content)}
        case {"type": "document", "source": dict(source)} if address := _data_or_address(source):
            title = block.get("title")
            name = title if isinstance(title, str) and title else "document"
            return {"type": "file", "file": {"file_data": address, "filename": name}}
        case {"type": "image" | "document", "source": {"type": str(kind)}} if kind not in _KNOWN_SOURCES:
            return block
        case {"type": "image" | "document" as kind}:
            raise invalid(field, f"The block of type {kind} has a source of another form.")
        case _:
            return {"type": "text", "text": _text_within(block)}


def _data_or_address(source: dict[str, Any]) -> str | None:
    """Return the URL of a document, None if it has another source."""
    match source:
        case {"type": "base64", "media_type": str(kind), "data": str(data)}:
            return f"data:{kind};base64,{data}"
        case {"type": "text", "data": str(text)}:
            return f"data:text/plain;base64,{base64.b64encode(text.encode()).decode()}"
        case {"type": "url", "url": str(url)}:
            return url
        case _:
            return None


def _text_within(value: object) -> str:
    """Return the texts inside a block that only its vendor knows, such as a search result in the history."""
    match value:
        case {"text": str(text)}:
            return text
        case dict():
            return "\n".join(filter(None, map(_text_within, (value.get("content"), value.get("source")))))
        case list():
            return "\n".join(filter(None, map(_text_within, value)))
        case _:
            return ""
