"""OpenAI, the same at Azure, and every server that speaks its API."""

from providers.openai.azure import Azure, AzureOptions
from providers.openai.kind import OpenAI
from providers.openai.options import OpenAIOptions

__all__ = ["Azure", "AzureOptions", "OpenAI", "OpenAIOptions"]
