"""The turns of a conversation, read from JSON in the form of chat completions.

Clients send back turns as an SDK dumped them: with nulls, empty lists and vendors' own fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from providers import opaque
from providers.base import Message, Opaque, ReasoningBlock
from providers.foreign_reasoning import without_sealed
from providers.validation import Invalid, convert

_MESSAGE_FIELDS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal"})


def read_messages(entries: Sequence[object]) -> list[Message]:
    """Return the messages that ``entries``, the value of the field ``messages``, stand for.

    Raises :class:`~providers.validation.Invalid`; its key names the entry: ``messages[2].content``.
    """
    return [read_message(entry, f"messages[{number}]") for number, entry in enumerate(entries)]


def read_message(entry: object, field: str) -> Message:
    """Return the message that ``entry``, a JSON object at ``field``, stands for.

    Fields that are null or empty count as absent. Unknown ones are kept in ``extra``.
    Raises :class:`~providers.validation.Invalid`.
    """
    if not isinstance(entry, dict):
        raise Invalid(field, "expected an object")
    given = {name: value for name, value in entry.items() if value not in (None, "", [], {})}
    message = convert({name: given[name] for name in _MESSAGE_FIELDS & given.keys()}, Message, prefix=field)
    _check_parts(message, field)
    extra = {name: value for name, value in given.items() if name not in _MESSAGE_FIELDS}
    if not extra:
        return message
    reasoning = tuple(_reasoning(extra)) if message.role == "assistant" else ()
    return replace(message, extra=without_sealed(extra), reasoning=reasoning)


def _check_parts(message: Message, field: str) -> None:
    for number, part in enumerate(message.content if isinstance(message.content, list) else ()):
        _check_part(part, f"{field}.content[{number}]")
    for number, call in enumerate(message.tool_calls or ()):
        _check_call(call, f"{field}.tool_calls[{number}]")


_PART_STRINGS: Mapping[str, tuple[str, ...]] = {
    "text": ("text",),
    "refusal": ("refusal",),
    "image_url": ("image_url.url",),
    "input_audio": ("input_audio.data", "input_audio.format"),
}
"""The types of content parts that are known, and the strings that each has."""


def _check_part(part: Mapping[str, Any], field: str) -> None:
    kind = part.get("type")
    if not isinstance(kind, str):
        raise Invalid(f"{field}.type", "expected a string")
    for path in _PART_STRINGS.get(kind, ()):
        outer, _, inner = path.rpartition(".")
        if outer and not isinstance(part.get(outer), dict):
            raise Invalid(f"{field}.{outer}", "expected an object")
        table = part[outer] if outer else part
        if not isinstance(table.get(inner), str):
            raise Invalid(f"{field}.{path}", "expected a string")


def _check_call(call: Mapping[str, Any], field: str) -> None:
    """Check what is there of a tool call. Some clients send arguments as an object, and no id."""
    if not isinstance(call.get("id"), str | None):
        raise Invalid(f"{field}.id", "expected a string")
    if call.get("type") not in (None, "function"):
        return
    function = call.get("function")
    if not isinstance(function, dict):
        raise Invalid(f"{field}.function", "expected an object")
    if not isinstance(function.get("name"), str):
        raise Invalid(f"{field}.function.name", "expected a string")
    if not isinstance(function.get("arguments"), str | dict | None):
        raise Invalid(f"{field}.function.arguments", "expected a string of JSON")


def _reasoning(extra: Mapping[str, Any]) -> Iterator[ReasoningBlock]:
    """Yield the blocks in the field with the most detail. A field of an unexpected form has none."""
    text = next((extra[name] for name in ("reasoning_content", "reasoning") if isinstance(extra.get(name), str)), "")
    blocks = list(_blocks(extra.get("thinking_blocks"), _thinking)) or list(
        _blocks(extra.get("reasoning_details"), _detail)
    )
    if text and not any(block.text for block in blocks):
        blocks = _joined(text, blocks)
    yield from blocks


def _blocks(entries: object, read: Callable[[object], ReasoningBlock | None]) -> Iterator[ReasoningBlock]:
    for entry in entries if isinstance(entries, list) else ():
        block = read(entry)
        if block is not None:
            yield block


def _thinking(entry: object) -> ReasoningBlock | None:
    """Read an entry of ``thinking_blocks``: a content block of Anthropic's, as gateways pass it on."""
    match entry:
        case {"type": "thinking", "thinking": str(text), "signature": str(signature)} if signature:
            return ReasoningBlock(text, Opaque("messages", "", {"signature": signature}))
        case {"type": "thinking", "thinking": str(text)}:
            return ReasoningBlock(text)
        case {"type": "redacted_thinking", "data": str(data)}:
            return ReasoningBlock("", Opaque("messages", "", {"data": data}))
        case _:
            return None


def _detail(entry: object) -> ReasoningBlock | None:
    """Read an entry of ``reasoning_details``: one of ours, with sealed data, or one of OpenRouter's.

    https://openrouter.ai/docs/use-cases/reasoning-tokens
    """
    match entry:
        case {"type": "reasoning.encrypted", "data": str(data)}:
            sealed = opaque.unseal(data)
            return None if sealed is None else ReasoningBlock("", sealed)
        case {"type": "reasoning.text", "text": str(text), "signature": str(signature)} if signature:
            return ReasoningBlock(text, Opaque("messages", "", {"signature": signature}))
        case {"type": "reasoning.text", "text": str(text)} | {"type": "reasoning.summary", "summary": str(text)}:
            return ReasoningBlock(text)
        case _:
            return None


def _joined(text: str, blocks: list[ReasoningBlock]) -> list[ReasoningBlock]:
    """Return ``blocks``, which came without their text, with ``text``, in which the texts of all were joined.

    It is one block's if only one can have had a text: Anthropic's redacted thinking has none. How the text was
    divided among several signed blocks is not known, and their vendor accepts no other division: those are left out.
    """
    signed = [block for block in blocks if block.opaque is not None and "data" not in block.opaque.data]
    if len(signed) == 1:
        return [replace(block, text=text) if block is signed[0] else block for block in blocks]
    return [ReasoningBlock(text), *(block for block in blocks if block not in signed)]
