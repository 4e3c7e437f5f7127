"""OpenAI and every server that speaks its chat completions."""

from providers.openai.kind import OpenAI, OpenAIOptions

__all__ = ["OpenAI", "OpenAIOptions"]
