"""The limits on a conversation's text, the same on every wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from providers.base import Message
from providers.message_text import request_texts
from streamserver.config.settings import Settings
from streamserver.core.refusals import invalid


def check_conversation(
    messages: Sequence[Message],
    tools: list[dict[str, Any]] | None,
    tool_choice: str | dict[str, Any] | None,
    settings: Settings,
    *,
    prompt_field: str | None = None,
    conversation_field: str = "messages",
) -> None:
    """Refuse a conversation if its newest user turn is longer than ``limits.max_prompt_chars``, or its texts together
    (system, earlier turns, tools, tool results) are longer than ``limits.max_conversation_chars``.

    ``prompt_field`` is what the caller calls the newest user turn, where that is not an entry of
    ``conversation_field``.
    """
    limits = settings.limits
    total = _length(messages, tools, tool_choice)
    if total > limits.max_prompt_chars:  # else no turn can be too long
        newest = next((index for index in range(len(messages) - 1, -1, -1) if messages[index].role == "user"), None)
        if newest is not None and (length := _length([messages[newest]])) > limits.max_prompt_chars:
            raise invalid(
                prompt_field or f"{conversation_field}[{newest}].content",
                f"The newest user turn has {length} characters of text; the most is {limits.max_prompt_chars}"
                " (limits.max_prompt_chars).",
            )
    if total > limits.max_conversation_chars:
        raise invalid(
            conversation_field,
            f"The whole request has {total} characters of text; the most is {limits.max_conversation_chars}"
            " (limits.max_conversation_chars).",
        )


def _length(
    messages: Sequence[Message],
    tools: list[dict[str, Any]] | None = None,
    tool_choice: str | dict[str, Any] | None = None,
) -> int:
    return sum(map(len, request_texts(messages, tools, tool_choice)))
