"""The chunks of a chat completion stream, as much of them as is read.

Typed for msgspec, which skips every field that is not named here; about a microsecond a
chunk. Servers differ in the rest: ``choices`` empty, null or absent, usage beside full
choices, twice or never, reasoning under either of two names.
"""

from __future__ import annotations

from typing import Any

import msgspec

from providers.base import Usage, UsageDetails


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class Custom(msgspec.Struct, gc=False):
    name: str | None = None
    input: str | None = None


class ToolCallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None
    extra_content: dict[str, Any] | None = None
    """What Gemini wants back with the call: its thought signature."""


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


class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class TokenUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None

    def as_usage(self) -> Usage:
        """Return the counts as the event they are."""
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        details = None
        if prompt is not None or completion is not None:
            prompt, completion = prompt or PromptDetails(), completion or CompletionDetails()
            details = UsageDetails(
                cached_tokens=prompt.cached_tokens,
                cache_write_tokens=prompt.cache_write_tokens,
                reasoning_tokens=completion.reasoning_tokens,
                audio_prompt_tokens=prompt.audio_tokens,
                audio_completion_tokens=completion.audio_tokens,
            )
        return Usage(self.prompt_tokens, self.completion_tokens, details)


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
