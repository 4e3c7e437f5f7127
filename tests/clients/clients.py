"""The clients that the contract is run with, and the one that has tests of its own."""

from __future__ import annotations

from tests.clients.client import Client

CHAT, RESPONSES, MESSAGES, UI = "chat completions", "Responses", "Messages", "AI SDK UI messages"
_NO_REASONING = frozenset({"reasoning"})
_PROGRAM = frozenset({"leaving", "own timeout"})

CLIENTS = (
    Client("OpenAI SDK, Python", "openai", CHAT, "openai.md", "openai-chat"),
    Client("OpenAI SDK, Python", "openai", RESPONSES, "responses.md", "openai-responses"),
    Client("OpenAI SDK, Node", "openai", CHAT, "openai.md", "openai-chat", "node"),
    Client("OpenAI SDK, Node", "openai", RESPONSES, "responses.md", "openai-responses", "node"),
    Client("Anthropic SDK, Python", "anthropic", MESSAGES, "anthropic.md", "anthropic"),
    Client("Anthropic SDK, Node", "@anthropic-ai/sdk", MESSAGES, "anthropic.md", "anthropic", "node"),
    Client("LangChain", "langchain-openai", CHAT, "langchain.md", "langchain-openai", lacks=_NO_REASONING),
    Client("LangChain", "langchain-openai", RESPONSES, "langchain.md", "langchain-openai-responses"),
    Client("LangChain", "langchain-anthropic", MESSAGES, "langchain.md", "langchain-anthropic"),
    Client("pydantic-ai", "pydantic-ai-slim", CHAT, "pydantic-ai.md", "pydantic-ai"),
    Client("pydantic-ai", "pydantic-ai-slim", RESPONSES, "pydantic-ai.md", "pydantic-ai-responses"),
    Client("pydantic-ai", "pydantic-ai-slim", MESSAGES, "pydantic-ai.md", "pydantic-ai-anthropic"),
    Client("llm", "llm", CHAT, "llm.md", "llm", lacks=_NO_REASONING | _PROGRAM),
    Client("llm", "llm", RESPONSES, "llm.md", "llm-responses", lacks=_PROGRAM),
    Client("AI SDK", "@ai-sdk/openai-compatible", CHAT, "ai-sdk.md", "ai-openai-compatible", "node"),
    Client("AI SDK", "@ai-sdk/openai", CHAT, "ai-sdk.md", "ai-openai-chat", "node", _NO_REASONING),
    Client("AI SDK", "@ai-sdk/openai", RESPONSES, "ai-sdk.md", "ai-openai-responses", "node"),
    Client("AI SDK", "@ai-sdk/anthropic", MESSAGES, "ai-sdk.md", "ai-anthropic", "node"),
)
USE_CHAT = Client(
    "AI SDK, `useChat`", "@ai-sdk/react", UI, "ai-sdk.md", "use-chat", "node", frozenset({"whole", "retries"})
)
