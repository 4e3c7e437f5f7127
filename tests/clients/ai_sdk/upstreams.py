"""Providers for the tests of the AI SDK."""

from __future__ import annotations

import json
from typing import Any

from tests.support.upstream import DONE, Exchange, Script, chunk, usage_chunk


def _sse(name: str, **fields: Any) -> str:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n"


def _call_piece(index: int, arguments: str, *, name: str | None = None, **fields: Any) -> str:
    function = {"arguments": arguments, **({} if name is None else {"name": name})}
    delta = {"tool_calls": [{"index": index, **fields, "function": function}]}
    return chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}])


async def two_calls_then_text(exchange: Exchange) -> None:
    """Answer a question with two tool calls, and their results with text, as chat completions."""
    await exchange.start_stream()
    if exchange.json()["messages"][-1]["role"] == "tool":
        await exchange.send(chunk("Both are fine.") + chunk(finish="stop") + usage_chunk(9, 4) + DONE)
        return
    await exchange.send(chunk("Let me look. "))
    await exchange.send(_call_piece(0, '{"city":', id="c0", type="function", name="weather"))
    await exchange.send(_call_piece(1, '{"city":"Rome"}', id="c1", type="function", name="weather"))
    await exchange.send(_call_piece(0, '"Oslo"}'))
    await exchange.send(chunk(finish="tool_calls") + usage_chunk(9, 4) + DONE)


async def thinking_then_text(exchange: Exchange) -> None:
    """Answer a question with signed thinking and a tool call, and its result with text, as Anthropic's Messages."""
    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1", "content": []}
    thinking = [{"type": "thinking_delta", "thinking": "Hm."}, {"type": "signature_delta", "signature": "c2ln"}]
    call = [{"type": "input_json_delta", "partial_json": '{"city":"Oslo"}'}]
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        ({"type": "thinking", "thinking": "", "signature": ""}, thinking),
        ({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}, call),
    ]
    reason = "tool_use"
    if len(exchange.json()["messages"]) > 1:
        blocks, reason = [({"type": "text", "text": ""}, [{"type": "text_delta", "text": "Fine."}])], "end_turn"
    await exchange.start_stream()
    await exchange.send(_sse("message_start", message={**message, "usage": usage}))
    for index, (block, deltas) in enumerate(blocks):
        await exchange.send(_sse("content_block_start", index=index, content_block=block))
        for delta in deltas:
            await exchange.send(_sse("content_block_delta", index=index, delta=delta))
        await exchange.send(_sse("content_block_stop", index=index))
    await exchange.send(_sse("message_delta", delta={"stop_reason": reason}, usage=usage) + _sse("message_stop"))


def responses_answer(item: dict[str, Any], *deltas: tuple[str, str]) -> Script:
    """Answer with one output item, as OpenAI's Responses. ``deltas``: the middle of an event's name, and its text."""

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        response = {"id": "resp_1", "object": "response", "status": "in_progress", "model": "gpt-1", "output": []}
        await exchange.send(_sse("response.created", sequence_number=0, response=response))
        started = {**item, "status": "in_progress"}
        await exchange.send(_sse("response.output_item.added", sequence_number=1, output_index=0, item=started))
        place = {"output_index": 0, "item_id": item["id"], "content_index": 0}
        for number, (kind, text) in enumerate(deltas):
            await exchange.send(_sse(f"response.{kind}.delta", sequence_number=2 + number, **place, delta=text))
        ended = {**item, "status": "completed"}
        await exchange.send(_sse("response.output_item.done", sequence_number=98, output_index=0, item=ended))
        usage = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
        whole = {**response, "status": "completed", "output": [ended], "usage": usage}
        await exchange.send(_sse("response.completed", sequence_number=99, response=whole))

    return script
