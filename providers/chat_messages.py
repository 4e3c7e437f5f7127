"""The turns of a conversation in the form of chat completions."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from providers.base import REASONING_FIELDS, Message

_FIELDS = ("content", "name", "tool_calls", "tool_call_id", "refusal")
"""Fields of a :class:`~providers.base.Message` that have the same name and form here."""
_fields_of = operator.attrgetter(*_FIELDS)
_CONTENT = ("content", "tool_calls", "refusal", "function_call", "audio")
"""A turn has one of these fields."""


def chat_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return ``messages`` in the form of chat completions.

    The result of a tool is text there: its images follow in a user turn, after all results of the round.
    """
    return list(_turns(messages))


def _turns(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool" and isinstance(message.content, list):
            texts = [part for part in message.content if part["type"] == "text"]
            shown += [part for part in message.content if part["type"] != "text"]
            yield {**_turn(message), "content": texts or ""}
            continue
        if shown and message.role != "tool":
            yield {"role": "user", "content": shown}
            shown = []
        yield _turn(message)
    if shown:
        yield {"role": "user", "content": shown}


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {**message.extra, "role": message.role}
    turn |= {name: value for name, value in zip(_FIELDS, _fields_of(message), strict=True) if value is not None}
    if message.tool_calls:
        turn |= _calls(message.tool_calls)
    if turn.keys().isdisjoint(_CONTENT):
        turn["content"] = ""
    # Some providers refuse a turn after tool calls unless the reasoning before the calls is sent back.
    if message.reasoning and message.extra.keys().isdisjoint(REASONING_FIELDS):
        reasoning = "".join(block.text for block in message.reasoning if block.opaque is None)
        if reasoning:
            turn["reasoning_content"] = reasoning
    return turn


def _calls(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fields of a turn that calls tools.

    What a provider wants back with a call was told as the call's ``extra``. Its fields go where the provider sent them:
    ``reasoning_details`` into the message, all others into the call.
    """
    fields: dict[str, Any] = {"tool_calls": []}
    for call in calls:
        plain = {name: value for name, value in call.items() if name != "extra"}
        extra = dict(call["extra"]) if isinstance(call.get("extra"), dict) else {}
        if "reasoning_details" in extra:
            fields["reasoning_details"] = extra.pop("reasoning_details")
        fields["tool_calls"].append({**plain, **extra})
    return fields
