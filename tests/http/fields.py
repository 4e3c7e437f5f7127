"""The fields of each client wire: a request that has them all, and the types that each may have."""
# ruff: noqa: E501 — a row is a line

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

STRING, WHOLE, NUMBER, BOOL, LIST, OBJECT = "string", "whole number", "number", "true or false", "list", "object"
VALUES: Mapping[str, Any] = {STRING: "x", WHOLE: 3, NUMBER: 0.5, BOOL: True, LIST: [], OBJECT: {}}
"""A value of each type. A whole number is a number, too."""
OF_WHICH = {NUMBER: {NUMBER, WHOLE}}
TEXT_ITEMS, OBJECT_ITEMS = "list of strings", "list of objects"
ITEMS = {TEXT_ITEMS: 5, OBJECT_ITEMS: "x"}
"""A wrong item for a list of each type."""


class Field(msgspec.Struct, frozen=True):
    """A field of a request. ``path`` leads to it; ``types`` are what it may be; an ``optional`` one may be null."""

    path: tuple[str | int, ...]
    types: tuple[str, ...]
    optional: bool = True

    @property
    def name(self) -> str:
        first, *rest = self.path
        return str(first) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest)

    def wrong_values(self) -> list[Any]:
        """Return a value of each type that it may not have."""
        allowed = {OBJECT_ITEMS: LIST, TEXT_ITEMS: LIST}
        types = {each for kind in self.types for each in OF_WHICH.get(kind, {allowed.get(kind, kind)})}
        wrong = [value for kind, value in VALUES.items() if kind not in types]
        wrong += [[ITEMS[kind]] for kind in self.types if kind in ITEMS]
        return wrong if self.optional else [*wrong, None]


def _fields(table: Mapping[str, str | tuple[str, ...]], *required: str) -> list[Field]:
    """Return the rows of a table. A number in a path is an index."""
    return [
        Field(
            tuple(int(step) if step.isdigit() else step for step in path.split(".")),
            (types,) if isinstance(types, str) else types,
            path not in required,
        )
        for path, types in table.items()
    ]


CHAT_TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "strict": False}}
CHAT: dict[str, Any] = {
    "model": "up",
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "s"},
        {"role": "user", "content": [{"type": "text", "text": "Hi"},
                                     {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}]},
        {"role": "assistant", "content": None, "refusal": "no",
         "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "4"},
        {"role": "user", "content": "Go on."},
    ],
    "stream": False, "stream_options": {"include_usage": True, "include_obfuscation": False},
    "max_completion_tokens": 10, "max_tokens": 10, "temperature": 0.5, "top_p": 0.5, "stop": ["a"],
    "tools": [CHAT_TOOL], "tool_choice": "auto", "parallel_tool_calls": True, "response_format": {"type": "text"},
    "reasoning_effort": "low", "user": "u", "metadata": {"a": "b"}, "store": False, "seed": 1, "service_tier": "auto",
    "safety_identifier": "s", "prompt_cache_key": "k", "prompt_cache_options": {}, "prompt_cache_retention": "24h",
    "verbosity": "low", "presence_penalty": 0, "frequency_penalty": 0, "n": 1, "logprobs": False, "top_logprobs": 0,
    "logit_bias": {}, "prediction": {}, "modalities": ["text"], "audio": {}, "web_search_options": {},
    "functions": [{"name": "f"}], "function_call": "none",
}  # fmt: skip
# In an entry of messages, what is empty counts as absent.
CHAT_FIELDS = _fields({
    "model": STRING, "messages": OBJECT_ITEMS, "stream": BOOL, "stream_options": OBJECT,
    "stream_options.include_usage": BOOL, "stream_options.include_obfuscation": BOOL, "max_completion_tokens": WHOLE,
    "max_tokens": WHOLE, "temperature": NUMBER, "top_p": NUMBER, "stop": (STRING, TEXT_ITEMS), "tools": OBJECT_ITEMS,
    "tool_choice": (STRING, OBJECT), "parallel_tool_calls": BOOL, "response_format": OBJECT,
    "reasoning_effort": STRING, "user": STRING, "metadata": OBJECT, "store": BOOL, "seed": WHOLE,
    "service_tier": STRING, "safety_identifier": STRING, "prompt_cache_key": STRING, "prompt_cache_options": OBJECT,
    "prompt_cache_retention": STRING, "verbosity": STRING, "presence_penalty": NUMBER, "frequency_penalty": NUMBER,
    "n": WHOLE, "logprobs": BOOL, "top_logprobs": WHOLE, "logit_bias": OBJECT, "prediction": OBJECT,
    "modalities": TEXT_ITEMS, "audio": OBJECT, "web_search_options": OBJECT, "functions": OBJECT_ITEMS,
    "function_call": (STRING, OBJECT), "messages.0.role": STRING, "messages.0.content": (STRING, LIST, OBJECT),
    "messages.0.name": (STRING, LIST, OBJECT), "messages.1.content": (STRING, OBJECT_ITEMS, OBJECT), "messages.1.content.0.type": STRING,
    "messages.1.content.0.text": STRING, "messages.1.content.1.image_url": OBJECT,
    "messages.1.content.1.image_url.url": STRING, "messages.2.refusal": (STRING, LIST, OBJECT), "messages.2.tool_calls": (OBJECT_ITEMS, OBJECT),
    "messages.2.tool_calls.0.id": STRING, "messages.2.tool_calls.0.function": OBJECT,
    "messages.2.tool_calls.0.function.name": STRING, "messages.2.tool_calls.0.function.arguments": (STRING, OBJECT),
    "messages.3.tool_call_id": (STRING, LIST, OBJECT), "messages.3.content": (STRING, LIST, OBJECT), "tools.0.type": STRING,
    "tools.0.function": OBJECT, "tools.0.function.name": STRING, "tools.0.function.description": STRING,
    "tools.0.function.parameters": OBJECT, "tools.0.function.strict": BOOL, "response_format.type": STRING,
}, "model", "messages", "messages.0.role", "messages.1.content.0.type", "messages.1.content.0.text",
   "messages.1.content.1.image_url", "messages.1.content.1.image_url.url",
   "messages.2.tool_calls.0.function", "messages.2.tool_calls.0.function.name", "tools.0.type", "tools.0.function",
   "tools.0.function.name", "response_format.type")  # fmt: skip

MESSAGES: dict[str, Any] = {
    "model": "up", "max_tokens": 10,
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "Hi"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "s"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "4", "is_error": False}]},
        {"role": "user", "content": "Go on."},
    ],
    "system": "Be brief.", "stop_sequences": ["a"], "temperature": 0.5, "top_p": 0.5, "top_k": 5, "stream": False,
    "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto"},
    "thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "low", "format": {}},
    "metadata": {"user_id": "u"}, "service_tier": "auto", "cache_control": {}, "speed": "fast", "inference_geo": "eu",
    "container": "c", "context_management": {}, "mcp_servers": [{"name": "m"}],
}  # fmt: skip
MESSAGES_FIELDS = _fields({
    "model": STRING, "max_tokens": WHOLE, "messages": OBJECT_ITEMS, "system": (STRING, OBJECT_ITEMS),
    "stop_sequences": TEXT_ITEMS, "temperature": NUMBER, "top_p": NUMBER, "top_k": WHOLE, "stream": BOOL,
    "tools": OBJECT_ITEMS, "tool_choice": OBJECT, "thinking": OBJECT, "output_config": OBJECT,
    "output_config.effort": STRING, "output_config.format": OBJECT, "metadata": OBJECT, "metadata.user_id": STRING,
    "service_tier": STRING, "cache_control": OBJECT, "speed": STRING, "inference_geo": STRING,
    "container": (STRING, OBJECT), "context_management": OBJECT, "mcp_servers": OBJECT_ITEMS,
    "messages.0.role": STRING, "messages.0.content": (STRING, OBJECT_ITEMS), "messages.0.content.0.type": STRING,
    "messages.0.content.0.text": STRING, "messages.0.content.1.source": OBJECT,
    "messages.0.content.1.source.data": STRING, "messages.1.content.0.thinking": STRING,
    "messages.1.content.1.id": STRING, "messages.1.content.1.name": STRING, "messages.1.content.1.input": OBJECT,
    "messages.2.content.0.tool_use_id": STRING, "messages.2.content.0.content": (STRING, OBJECT_ITEMS),
    "messages.2.content.0.is_error": BOOL, "tools.0.name": STRING, "tools.0.description": STRING,
    "tools.0.input_schema": OBJECT, "tool_choice.type": STRING, "thinking.type": STRING,
    "thinking.budget_tokens": WHOLE,
}, "model", "max_tokens", "messages", "messages.0.role", "messages.0.content", "messages.0.content.0.type",
   "messages.0.content.0.text", "messages.0.content.1.source", "messages.0.content.1.source.data",
   "messages.1.content.0.thinking", "messages.1.content.1.id", "messages.1.content.1.name",
   "messages.2.content.0.tool_use_id", "tools.0.name", "tool_choice.type", "thinking.type")  # fmt: skip

RESPONSES: dict[str, Any] = {
    "model": "up",
    "input": [
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "Hi"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}]},
        {"type": "reasoning", "id": "rs", "summary": []},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "4"},
        {"role": "user", "content": "Go on."},
    ],
    "instructions": "Be brief.", "stream": False, "background": False, "store": True, "max_output_tokens": 20,
    "temperature": 0.5, "top_p": 0.5, "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}],
    "tool_choice": "auto", "parallel_tool_calls": True, "text": {"format": {"type": "text"}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"}, "metadata": {"a": "b"}, "user": "u", "include": ["x"],
    "safety_identifier": "s", "service_tier": "auto", "prompt_cache_key": "k", "truncation": "disabled",
    "top_logprobs": 0, "max_tool_calls": 3, "stream_options": {},
}  # fmt: skip
RESPONSES_FIELDS = _fields({
    "model": STRING, "input": (STRING, OBJECT_ITEMS), "instructions": STRING, "stream": BOOL, "background": BOOL,
    "store": BOOL, "max_output_tokens": WHOLE, "temperature": NUMBER, "top_p": NUMBER, "tools": OBJECT_ITEMS,
    "tool_choice": (STRING, OBJECT), "parallel_tool_calls": BOOL, "text": OBJECT, "text.format": OBJECT,
    "text.verbosity": STRING, "text.format.type": STRING, "reasoning": OBJECT, "reasoning.effort": STRING,
    "reasoning.summary": STRING, "metadata": OBJECT, "user": STRING, "include": TEXT_ITEMS,
    "safety_identifier": STRING, "service_tier": STRING, "prompt_cache_key": STRING, "truncation": STRING,
    "top_logprobs": WHOLE, "max_tool_calls": WHOLE, "stream_options": OBJECT, "input.0.type": STRING,
    "input.0.role": STRING, "input.0.content": (STRING, OBJECT_ITEMS), "input.0.content.0.type": STRING,
    "input.0.content.0.text": STRING, "input.0.content.1.image_url": STRING,
    "input.2.call_id": STRING, "input.2.name": STRING, "input.2.arguments": STRING, "input.3.call_id": STRING,
    "input.3.output": (STRING, OBJECT_ITEMS), "tools.0.type": STRING, "tools.0.name": STRING,
    "tools.0.parameters": OBJECT, "tools.0.strict": BOOL,
}, "model", "input.0.role", "input.0.content", "input.0.content.0.type", "input.0.content.0.text",
   "input.0.content.1.image_url", "input.2.call_id", "input.2.name", "input.3.call_id", "input.3.output",
   "text.format.type", "tools.0.type", "tools.0.name")  # fmt: skip

AI_SDK: dict[str, Any] = {
    "id": "c", "trigger": "submit-message", "messageId": "m",
    "messages": [
        {"id": "1", "role": "user", "parts": [
            {"type": "text", "text": "Hi"},
            {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA", "filename": "a"}]},
        {"id": "2", "role": "assistant", "parts": [
            {"type": "step-start"}, {"type": "reasoning", "text": "Hm"},
            {"type": "tool-f", "toolCallId": "t", "state": "output-available", "input": {}, "output": 4}]},
        {"id": "3", "role": "user", "parts": [{"type": "text", "text": "Go on."}]},
    ],
    "provider": "up", "model": "m", "system": "Be brief.", "max_tokens": 10, "temperature": 0.5,
    "tools": [CHAT_TOOL], "tool_choice": "auto", "grace": 1.0,
}  # fmt: skip
AI_SDK_FIELDS = _fields({
    "id": STRING, "messages": OBJECT_ITEMS, "provider": STRING, "model": STRING, "system": STRING,
    "max_tokens": WHOLE, "temperature": NUMBER, "tools": OBJECT_ITEMS, "tool_choice": (STRING, OBJECT),
    "grace": NUMBER, "messages.0.role": STRING, "messages.0.parts": OBJECT_ITEMS, "messages.0.parts.0.type": STRING,
    "messages.0.parts.0.text": STRING, "messages.0.parts.1.mediaType": STRING, "messages.0.parts.1.url": STRING,
    "messages.1.parts.1.text": STRING, "messages.1.parts.2.toolCallId": STRING,
}, "id", "messages", "messages.0.role", "messages.0.parts", "messages.0.parts.0.type", "messages.0.parts.0.text",
   "messages.0.parts.1.mediaType", "messages.0.parts.1.url", "messages.1.parts.1.text",
   "messages.1.parts.2.toolCallId")  # fmt: skip

WIRES: Mapping[str, tuple[str, dict[str, Any], list[Field]]] = {
    "chat": ("/v1/chat/completions", CHAT, CHAT_FIELDS),
    "messages": ("/v1/messages", MESSAGES, MESSAGES_FIELDS),
    "responses": ("/v1/responses", RESPONSES, RESPONSES_FIELDS),
    "ai_sdk": ("/api/ai/chat", AI_SDK, AI_SDK_FIELDS),
}
"""The path, a request with every field, and the fields of each wire."""
