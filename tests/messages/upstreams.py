"""Scripts of providers of each protocol that give the same answer: thinking, text and two tool calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.support.upstream import DONE, Exchange, Script, chunk

ARGUMENTS = '{"city":"Oslo"}'
TOOLS: list[dict[str, Any]] = [
    {"name": name, "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    for name in ("weather", "clock")
]


def named(event: Mapping[str, Any]) -> str:
    """Return an event of Messages or Responses."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


def speaks(*events: str) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        for event in events:
            await exchange.send(event)

    return script


def _calls(*pieces: tuple[int, str | None, str | None, str]) -> list[str]:
    return [
        chunk(choices=[{"index": 0, "delta": {"tool_calls": [
            {"index": index, **({"id": call_id, "type": "function"} if call_id else {}),
             "function": {**({"name": name} if name else {}), "arguments": arguments}}]}, "finish_reason": None}])
        for index, call_id, name, arguments in pieces
    ]  # fmt: skip


def chat_calls_tools() -> Script:
    """Return a script of chat completions with two interleaved calls."""
    usage = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
             "prompt_tokens_details": {"cached_tokens": 5}}  # fmt: skip
    return speaks(
        chunk(choices=[{"index": 0, "delta": {"reasoning_content": "Hm."}, "finish_reason": None}]),
        chunk("Let me "),
        chunk("look."),
        *_calls(
            (0, "call_w", "weather", ""),
            (1, "call_c", "clock", '{"city":'),
            (0, None, None, '{"city":"Os'),
            (1, None, None, '"Oslo"}'),
            (0, None, None, 'lo"}'),
        ),
        chunk(finish="tool_calls"),
        chunk(choices=[], usage=usage),
        DONE,
    )


def responses_calls_tools() -> Script:
    """Return a script of the Responses API, with encrypted reasoning."""
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    message: dict[str, Any] = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    calls = [
        {"type": "function_call", "id": f"fc_{name}", "call_id": f"call_{name[0]}", "name": name, "arguments": ""}
        for name in ("weather", "clock")
    ]
    whole = {"id": "resp_1", "model": "gpt", "status": "completed", "output": [],
             "usage": {"input_tokens": 20, "output_tokens": 9, "total_tokens": 29,
                       "input_tokens_details": {"cached_tokens": 5},
                       "output_tokens_details": {"reasoning_tokens": 2}}}  # fmt: skip
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "usage": None}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**reasoning, "encrypted_content": None}},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "item_id": "rs_1", "summary_index": 0,
         "delta": "Hm."},
        {"type": "response.output_item.done", "output_index": 0,
         "item": {**reasoning, "summary": [{"type": "summary_text", "text": "Hm."}]}},
        {"type": "response.output_item.added", "output_index": 1, "item": message},
        {"type": "response.output_text.delta", "output_index": 1, "item_id": "msg_1", "content_index": 0,
         "delta": "Let me look."},
        {"type": "response.output_item.done", "output_index": 1,
         "item": {**message, "content": [{"type": "output_text", "text": "Let me look."}]}},
    ]  # fmt: skip
    for number, call in enumerate(calls, start=2):
        events += [
            {"type": "response.output_item.added", "output_index": number, "item": call},
            {"type": "response.function_call_arguments.delta", "output_index": number, "item_id": call["id"],
             "delta": ARGUMENTS},
            {"type": "response.output_item.done", "output_index": number, "item": {**call, "arguments": ARGUMENTS}},
        ]  # fmt: skip
    return speaks(*map(named, events), named({"type": "response.completed", "response": whole}))


def messages_calls_tools() -> Script:
    """Return a script of Messages, with a signature."""
    usage = {"input_tokens": 15, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 0, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "msg_vendor",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    contents: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        ({"type": "thinking", "thinking": "", "signature": ""},
         [{"type": "thinking_delta", "thinking": "Hm."}, {"type": "signature_delta", "signature": "EqQB"}]),
        ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Let me look."}]),
        *(({"type": "tool_use", "id": f"call_{name[0]}", "name": name, "input": {}},
           [{"type": "input_json_delta", "partial_json": ARGUMENTS}]) for name in ("weather", "clock")),
    ]  # fmt: skip
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}, {"type": "ping"}]
    for index, (block, deltas) in enumerate(contents):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events += [
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None},
         "usage": {**usage, "output_tokens": 9}},
        {"type": "message_stop"},
    ]  # fmt: skip
    return speaks(*map(named, events))


TABLES: Mapping[str, dict[str, Any]] = {
    "chat": {"kind": "openai", "model": "gpt"},
    "responses": {"kind": "openai", "api": "responses", "model": "gpt"},
    "messages": {"kind": "anthropic", "model": "claude-x"},
}
"""A provider of each protocol, but for its address."""
SCRIPTS: Mapping[str, Script] = {
    "chat": chat_calls_tools(),
    "responses": responses_calls_tools(),
    "messages": messages_calls_tools(),
}


def provider_at(protocol: str, url: str, **options: Any) -> dict[str, Any]:
    """Return the tables that make the upstream at ``url`` the default provider, by the name ``up``."""
    base_url = url if protocol == "messages" else f"{url}/v1"
    return {"provider": {"default": "up"}, "providers": {"up": {**TABLES[protocol], "base_url": base_url, **options}}}
