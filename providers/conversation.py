"""The turns of a conversation, read from JSON in the form of chat completions.

Clients send back turns as an SDK dumped them: with nulls, empty lists and vendors' own fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from providers import opaque
from providers.base import Message, Opaque, ReasoningBlock
from providers.foreign_reasoning import without_sealed
from providers.validation import Invalid, convert

_FIELDS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal"})


def read_messages(entries: Sequence[object], field: str = "messages") -> list[Message]:
    """Return the messages that ``entries`` stand for; ``field`` is where they stood.

    Raises :class:`~providers.validation.Invalid`; its key names the entry: ``messages[2].content``.
    """
    return [read_message(entry, f"{field}[{number}]") for number, entry in enumerate(entries)]


def read_message(entry: object, field: str) -> Message:
    """Return the message that ``entry``, a JSON object at ``field``, stands for.

    Fields that are null or empty count as absent. Unknown ones are kept in ``extra``.
    Raises :class:`~providers.validation.Invalid`.
    """
    if not isinstance(entry, dict):
        raise Invalid(field, "expected an object")
    given = {name: value for name, value in entry.items() if value not in (None, "", [], {})}
    message = convert({name: given[name] for name in _FIELDS & given.keys()}, Message, prefix=field)
    _check_parts(message, field)
    extra = {name: value for name, value in given.items() if name not in _FIELDS}
    if not extra:
        return message
    reasoning = tuple(_reasoning(extra)) if message.role == "assistant" else ()
    return replace(message, extra=without_sealed(extra), reasoning=reasoning)


def _check_parts(message: Message, field: str) -> None:
    if not isinstance(message.content, list):
        return
    for number, part in enumerate(message.content):
        where = f"{field}.content[{number}]"
        if not isinstance(part.get("type"), str):
            raise Invalid(f"{where}.type", "expected a string")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise Invalid(f"{where}.text", "expected a string")


def _reasoning(extra: Mapping[str, Any]) -> Iterator[ReasoningBlock]:
    """Yield the blocks in the field with the most detail. A field of an unexpected form has none."""
    text = next((extra[name] for name in ("reasoning_content", "reasoning") if isinstance(extra.get(name), str)), "")
    blocks = list(_blocks(extra.get("thinking_blocks"), _thinking)) or list(
        _blocks(extra.get("reasoning_details"), _detail)
    )
    if text and not any(block.text for block in blocks):
        blocks = _joined(text, blocks)
    yield from blocks


def _blocks(entries: object, read: Any) -> Iterator[ReasoningBlock]:
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
