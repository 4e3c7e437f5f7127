"""Anthropic's Messages API."""

from providers.anthropic.kind import Anthropic, AnthropicOptions

__all__ = ["Anthropic", "AnthropicOptions"]
