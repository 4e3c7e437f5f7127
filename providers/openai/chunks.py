"""The chunks of a chat completion stream, as much of them as is read.

Typed for msgspec, which skips every field that is not named here; about a microsecond a
chunk. Servers differ in the rest: ``choices`` empty, null or absent, usage beside full
choices, twice or never, reasoning under either of two names.
"""

from __future__ import annotations

from typing import Any

import msgspec

from providers.jsontext import loads


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
    model: str | None = None
    choices: list[Choice] | None = None
    usage: TokenUsage | None = None
    error: Any = None


def decode(payload: bytes) -> Chunk:
    """One event's data as a chunk.

    Raises :class:`ValueError` for what is not JSON of this shape. JSON that Python reads and
    msgspec does not (an escaped lone surrogate) is read by Python, the surrogate as U+FFFD.
    """
    try:
        return _DECODER.decode(payload)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.convert(loads(payload), Chunk)


_DECODER = msgspec.json.Decoder(Chunk)
