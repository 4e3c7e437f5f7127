"""The chunks of a chat completion stream, as much of them as is read.

Typed for msgspec, which skips every field that is not named here; about a microsecond a
chunk. Servers differ in the rest: ``choices`` empty, null or absent, usage beside full
choices, twice or never, reasoning under one of three names. What is text or a tool call in one
server is an object or a list in another, so that the parser looks at it itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from providers.base import Usage, UsageDetails


class ChunkDelta(msgspec.Struct):
    """The new part of an answer, or, as a ``message``, the whole of it."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    """The form that ``tool_calls`` had before 2023-11."""
    images: Any = None
    audio: Any = None


class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class ChatUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    input_tokens: int | None = None
    """What the other APIs call ``prompt_tokens``."""
    output_tokens: int | None = None
    cached_tokens: int | None = None
    """Where Moonshot has it."""
    prompt_cache_hit_tokens: int | None = None
    """What DeepSeek calls ``cached_tokens``."""

    def as_usage(self) -> Usage:
        """Return the counts as the event they are."""
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        cached = self.prompt_cache_hit_tokens if self.cached_tokens is None else self.cached_tokens
        details = None
        if prompt is not None or completion is not None or cached is not None:
            prompt, completion = prompt or PromptDetails(), completion or CompletionDetails()
            details = UsageDetails(
                cached_tokens=cached if prompt.cached_tokens is None else prompt.cached_tokens,
                cache_write_tokens=prompt.cache_write_tokens,
                reasoning_tokens=completion.reasoning_tokens,
                audio_prompt_tokens=prompt.audio_tokens,
                audio_completion_tokens=completion.audio_tokens,
            )
        asked = self.input_tokens if self.prompt_tokens is None else self.prompt_tokens
        answered = self.output_tokens if self.completion_tokens is None else self.completion_tokens
        return Usage(asked, answered, details)


class Choice(msgspec.Struct):
    index: int | None = 0
    delta: ChunkDelta | None = None
    message: ChunkDelta | None = None
    text: Any = None
    """What completions had before chat completions."""
    finish_reason: str | None = None
    stop_reason: Any = None
    """vLLM's: the stop sequence that matched, or the number of a token."""
    error: Any = None
    usage: ChatUsage | None = None
    """Where Moonshot has it."""


class GroqFields(msgspec.Struct, gc=False):
    usage: ChatUsage | None = None


class Chunk(msgspec.Struct):
    """A chunk, its fields in the order in which servers send them, which is how msgspec looks for them."""

    model: str | None = None
    choices: list[Choice] | None = None
    usage: ChatUsage | None = None
    error: Any = None
    x_groq: GroqFields | None = None


CHUNK = msgspec.json.Decoder(Chunk)
"""Reads one event's data."""
