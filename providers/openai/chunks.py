"""The chunks of a chat completion stream, as much of them as is read.

Typed for msgspec, which skips every field that is not named here; about a microsecond a
chunk. Servers differ in the rest: ``choices`` empty, null or absent, usage beside full
choices, twice or never, reasoning under either of two names.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(msgspec.Struct):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class Choice(msgspec.Struct):
    index: int | None = 0
    delta: Delta | None = None
    finish_reason: str | None = None


class TokenUsage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Chunk(msgspec.Struct):
    """In the order in which servers send them, which is how msgspec looks for them."""

    object: str | None = None
    """``error`` if the chunk itself is what others have under that name, as vLLM sends it."""
    model: str | None = None
    choices: list[Choice] | None = None
    usage: TokenUsage | None = None
    error: Any = None
    message: Any = None
    type: Any = None
    code: Any = None


CHUNK = msgspec.json.Decoder(Chunk)
"""Reads one event's data."""
