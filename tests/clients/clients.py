"""The clients that the contract is run with, and the one that has tests of its own."""

from __future__ import annotations

from tests.clients.client import OtherClient

CHAT, RESPONSES, MESSAGES, UI = "chat completions", "Responses", "Messages", "AI SDK UI messages"
_NO_REASONING = frozenset({"reasoning"})
_PROGRAM = frozenset({"leaving", "own timeout"})

CLIENTS = (
    OtherClient("OpenAI SDK, Python", "openai", CHAT, "openai.md", "openai-chat"),
    OtherClient("OpenAI SDK, Python", "openai", RESPONSES, "responses.md", "openai-responses"),
    OtherClient("OpenAI SDK, Node", "openai", CHAT, "openai.md", "openai-chat", "node"),
    OtherClient("OpenAI SDK, Node", "openai", RESPONSES, "responses.md", "openai-responses", "node"),
    OtherClient("Anthropic SDK, Python", "anthropic", MESSAGES, "anthropic.md", "anthropic"),
    OtherClient("Anthropic SDK, Node", "@anthropic-ai/sdk", MESSAGES, "anthropic.md", "anthropic", "node"),
    OtherClient("LangChain", "langchain-openai", CHAT, "langchain.md", "langchain-openai", lacks=_NO_REASONING),
    OtherClient("LangChain", "langchain-openai", RESPONSES, "langchain.md", "langchain-openai-responses"),
    OtherClient("LangChain", "langchain-anthropic", MESSAGES, "langchain.md", "langchain-anthropic"),
    OtherClient("pydantic-ai", "pydantic-ai-slim", CHAT, "pydantic-ai.md", "pydantic-ai"),
    OtherClient("pydantic-ai", "pydantic-ai-slim", RESPONSES, "pydantic-ai.md", "pydantic-ai-responses"),
    OtherClient("pydantic-ai", "pydantic-ai-slim", MESSAGES, "pydantic-ai.md", "pydantic-ai-anthropic"),
    OtherClient("llm", "llm", CHAT, "llm.md", "llm", lacks=_NO_REASONING | _PROGRAM),
    OtherClient("llm", "llm", RESPONSES, "llm.md", "llm-responses", lacks=_PROGRAM),
    OtherClient("AI SDK", "@ai-sdk/openai-compatible", CHAT, "ai-sdk.md", "ai-openai-compatible", "node"),
    OtherClient("AI SDK", "@ai-sdk/openai", CHAT, "ai-sdk.md", "ai-openai-chat", "node", _NO_REASONING),
    OtherClient("AI SDK", "@ai-sdk/openai", RESPONSES, "ai-sdk.md", "ai-openai-responses", "node"),
    OtherClient("AI SDK", "@ai-sdk/anthropic", MESSAGES, "ai-sdk.md", "ai-anthropic", "node"),
)
USE_CHAT = OtherClient(
    "AI SDK, `useChat`", "@ai-sdk/react", UI, "ai-sdk.md", "use-chat", "node", frozenset({"whole", "retries"})
)
