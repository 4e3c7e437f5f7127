"""Upstreams of every protocol that give the same answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.upstream import DONE, Exchange, Script, Upstream, chunk, usage_chunk

PROTOCOLS = ("chat", "responses", "messages")
SIGNATURE = "EqQBsigned"
CALL_ID, OTHER_CALL_ID = CALL_IDS = ("call_p", "call_q")
ZONES = ("UTC", "CET")


def tables(upstream: Upstream, protocol: str, **more: Any) -> dict[str, Any]:
    """Return the tables that make ``upstream`` the provider ``up``."""
    base: dict[str, Any] = {"kind": "openai", "model": "m", "base_url": f"{upstream.url}/v1"}
    table = {
        "chat": base,
        "responses": {**base, "api": "responses"},
        "messages": {"kind": "anthropic", "model": "m", "base_url": upstream.url},
    }[protocol]
    return {"provider": {"default": "up"}, "providers": {"up": table}, **more}


def protocol_of(exchange: Exchange) -> str:
    """Return the protocol of a request, by its path."""
    return {"completions": "chat", "responses": "responses", "messages": "messages"}[exchange.path.rpartition("/")[2]]


def answering(protocol: str | None, *steps: str, end: bool = True, cut: bool = False) -> Script:
    """Return a script that answers ``steps``: ``reasoning``, ``text``, and ``call`` once or twice.

    Without a ``protocol`` it speaks the request's. Unless ``end``, it holds the end until the client leaves; if
    ``cut``, it closes the connection instead.
    """

    async def script(exchange: Exchange) -> None:
        encode = {"chat": _chat, "responses": _responses, "messages": _messages}[protocol or protocol_of(exchange)]
        await exchange.start_stream()
        await exchange.send("".join(encode(steps, end and not cut)))
        if not (end or cut):
            await exchange.until_closed(60)

    return script


def event(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def _chat(steps: tuple[str, ...], end: bool) -> Iterator[str]:
    for place, step in enumerate(steps):
        match step:
            case "reasoning":
                yield _delta(reasoning_content="Sum it.")
            case "text":
                yield _delta(content="Fo") + _delta(content="ur")
            case _:
                index, call_id, pieces = _call(steps, place)
                begun = {"id": call_id, "type": "function", "function": {"name": "get_time", "arguments": ""}}
                yield _delta(tool_calls=[{"index": index, **begun}])
                for piece in pieces:
                    yield _delta(tool_calls=[{"index": index, "function": {"arguments": piece}}])
    if end:
        yield chunk(finish="tool_calls" if "call" in steps else "stop") + usage_chunk(9, 7) + DONE


def _call(steps: tuple[str, ...], place: int) -> tuple[int, str, tuple[str, str]]:
    """Return the number among the calls, the id and the pieces of the arguments of the call at ``place``."""
    number = steps[:place].count("call")
    return number, CALL_IDS[number], ('{"tz":', f'"{ZONES[number]}"}}')


def _delta(**delta: Any) -> str:
    return chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}])


def _messages(steps: tuple[str, ...], end: bool) -> Iterator[str]:
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
    }
    yield event("message_start", message={**message, "usage": {"input_tokens": 9, "output_tokens": 1}})
    for index, step in enumerate(steps):
        _, call_id, pieces = _call(steps, index) if step == "call" else (0, "", ())
        block, deltas = {
            "reasoning": (
                {"type": "thinking", "thinking": "", "signature": ""},
                [
                    {"type": "thinking_delta", "thinking": "Sum it."},
                    {"type": "signature_delta", "signature": SIGNATURE},
                ],
            ),
            "text": ({"type": "text", "text": ""}, [{"type": "text_delta", "text": text} for text in ("Fo", "ur")]),
            "call": (
                {"type": "tool_use", "id": call_id, "name": "get_time", "input": {}},
                [{"type": "input_json_delta", "partial_json": piece} for piece in pieces],
            ),
        }[step]
        yield event("content_block_start", index=index, content_block=block)
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        if end:
            yield event("content_block_stop", index=index)
    if end:
        reason = "tool_use" if "call" in steps else "end_turn"
        usage = {"input_tokens": 9, "output_tokens": 7}
        yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)
        yield event("message_stop")


def _responses(steps: tuple[str, ...], end: bool) -> Iterator[str]:
    response: dict[str, Any] = {
        "id": "resp_theirs",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "in_progress",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "vendor_field": 1,
    }
    yield event("response.created", response=response)
    yield event("response.in_progress", response=response)
    output = []
    for index in range(len(steps)):
        begun, whole, deltas = _item(steps, index)
        yield event("response.output_item.added", output_index=index, item=begun)
        for kind, fields in deltas:
            yield event(kind, item_id=begun["id"], output_index=index, **fields)
        if end:
            output.append(whole)
            yield event("response.output_item.done", output_index=index, item=whole)
    if end:
        usage = {"input_tokens": 9, "output_tokens": 7, "total_tokens": 16}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        done = {**response, "status": "completed", "output": output, "usage": {**usage, **details}}
        yield event("response.completed", response=done)


def _item(
    steps: tuple[str, ...], place: int
) -> tuple[dict[str, Any], dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """Return an item as it is added and as it is done, and what comes between."""
    part: dict[str, Any]
    deltas: list[tuple[str, dict[str, Any]]]
    match steps[place]:
        case "reasoning":
            begun: dict[str, Any] = {"id": "rs_theirs", "type": "reasoning", "summary": []}
            part = {"type": "summary_text", "text": "Sum it."}
            deltas = [
                ("response.reasoning_summary_part.added", {"summary_index": 0, "part": {**part, "text": ""}}),
                ("response.reasoning_summary_text.delta", {"summary_index": 0, "delta": "Sum it."}),
                ("response.reasoning_summary_text.done", {"summary_index": 0, "text": "Sum it."}),
                ("response.reasoning_summary_part.done", {"summary_index": 0, "part": part}),
            ]
            return begun, {**begun, "summary": [part], "encrypted_content": SIGNATURE}, deltas
        case "text":
            begun = {"id": "msg_theirs", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
            part = {"type": "output_text", "text": "Four", "annotations": []}
            at = {"content_index": 0}
            deltas = [
                ("response.content_part.added", {**at, "part": {**part, "text": ""}}),
                *(("response.output_text.delta", {**at, "delta": text, "logprobs": []}) for text in ("Fo", "ur")),
                ("response.output_text.done", {**at, "text": "Four", "logprobs": []}),
                ("response.content_part.done", {**at, "part": part}),
            ]
            return begun, {**begun, "status": "completed", "content": [part]}, deltas
        case _:
            _, call_id, pieces = _call(steps, place)
            begun = {"id": f"fc_{call_id}", "type": "function_call", "status": "in_progress", "call_id": call_id}
            begun |= {"name": "get_time", "arguments": ""}
            kind = "response.function_call_arguments"
            deltas = [(f"{kind}.delta", {"delta": piece}) for piece in pieces]
            deltas.append((f"{kind}.done", {"arguments": "".join(pieces), "name": "get_time"}))
            return begun, {**begun, "status": "completed", "arguments": "".join(pieces)}, deltas
