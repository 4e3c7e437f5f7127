"""The options of the kinds that speak OpenAI's API."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from providers.options import ApiOptions, HttpUrl

BASE_URL = "https://api.openai.com/v1"

Api: TypeAlias = Annotated[str, Meta(pattern="^(chat|responses)$", description='"chat" or "responses"')]
MaxTokensField: TypeAlias = Annotated[
    str,
    Meta(
        pattern="^(auto|max_tokens|max_completion_tokens)$",
        description='"auto", "max_tokens" or "max_completion_tokens"',
    ),
]


class SharedOptions(ApiOptions, frozen=True, kw_only=True):
    """The options that the kinds ``openai`` and ``azure`` share."""

    api: Api = "chat"
    """``chat``: chat completions, which every compatible server has; ``responses``: OpenAI's newer API."""
    max_tokens_field: MaxTokensField = "auto"
    """What chat completions call the limit; ``auto``: ``max_completion_tokens`` for OpenAI's reasoning models."""
    stream_options: bool = True
    """Whether chat completions are asked for usage; Mistral refuses the field, and sends usage unasked."""


class OpenAIOptions(SharedOptions, frozen=True, kw_only=True):
    """``[providers.NAME]`` with ``kind = "openai"``."""

    base_url: HttpUrl = BASE_URL
    organization: str | None = None
    project: str | None = None
