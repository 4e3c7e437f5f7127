"""A whole stream of each API, in the form in which its vendor sends it: reasoning, text, two tool calls, usage."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

RecordedFrame: TypeAlias = tuple[str, dict[str, Any]]
"""An event's name and its data."""


def _chunk(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> RecordedFrame:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "model-1"}
    return "", {**head, "service_tier": "default", "system_fingerprint": "fp_1", "choices": [choice], **fields}


def _call(index: int, arguments: str, **fields: Any) -> dict[str, Any]:
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {"tool_calls": [{"index": index, **fields, "function": {**name, "arguments": arguments}}]}


CHAT: list[RecordedFrame] = [
    _chunk({"role": "assistant", "content": "", "refusal": None}),
    _chunk({"reasoning_content": "Sum it."}),
    _chunk({"content": "Fo"}),
    _chunk({"content": "ur"}),
    _chunk(_call(0, "", id="call_a", type="function", name="get_time")),
    _chunk(_call(0, '{"tz":')),
    _chunk(_call(0, '"UTC"}')),
    _chunk(_call(1, "", id="call_b", type="function", name="get_date")),
    _chunk(_call(1, '{"day":1}')),
    _chunk({}, "tool_calls"),
    _chunk(
        {},
        choices=[],
        usage={
            "prompt_tokens": 9,
            "completion_tokens": 7,
            "total_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
        },
    ),
]


def _event(kind: str, **fields: Any) -> RecordedFrame:
    return kind, {"type": kind, **fields}


def _response(**fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "created_at": 1790000000, "model": "model-1", "error": None, **fields}


def _reasoning(**fields: Any) -> dict[str, Any]:
    return {"id": "rs_1", "type": "reasoning", "summary": [], **fields}


def _message(**fields: Any) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": [], **fields}


def _function(item: str, call: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": item, "type": "function_call", "call_id": call, "name": name, "arguments": arguments}


SUMMARY = {"type": "summary_text", "text": "Sum it."}
PART = {"type": "output_text", "text": "Four", "annotations": [], "logprobs": []}
TIME = _function("fc_1", "call_a", "get_time", '{"tz":"UTC"}')
DATE = _function("fc_2", "call_b", "get_date", '{"day":1}')
SEALED = _reasoning(summary=[SUMMARY], encrypted_content="sealed")
RESPONSES: list[RecordedFrame] = [
    _event("response.created", sequence_number=0, response=_response(status="in_progress", output=[], usage=None)),
    _event("response.in_progress", sequence_number=1, response=_response(status="in_progress", output=[])),
    _event("response.output_item.added", output_index=0, item=_reasoning()),
    _event("response.reasoning_summary_part.added", item_id="rs_1", output_index=0, summary_index=0, part=SUMMARY),
    _event("response.reasoning_summary_text.delta", item_id="rs_1", output_index=0, summary_index=0, delta="Sum it."),
    _event("response.reasoning_summary_text.done", item_id="rs_1", output_index=0, summary_index=0, text="Sum it."),
    _event("response.output_item.done", output_index=0, item=SEALED),
    _event("response.output_item.added", output_index=1, item=_message(status="in_progress")),
    _event("response.content_part.added", item_id="msg_1", output_index=1, content_index=0, part={**PART, "text": ""}),
    _event("response.output_text.delta", item_id="msg_1", output_index=1, content_index=0, delta="Fo", logprobs=[]),
    _event("response.output_text.delta", item_id="msg_1", output_index=1, content_index=0, delta="ur", logprobs=[]),
    _event("response.output_text.done", item_id="msg_1", output_index=1, content_index=0, text="Four"),
    _event("response.content_part.done", item_id="msg_1", output_index=1, content_index=0, part=PART),
    _event("response.output_item.done", output_index=1, item=_message(status="completed", content=[PART])),
    _event("response.output_item.added", output_index=2, item={**TIME, "arguments": ""}),
    _event("response.function_call_arguments.delta", item_id="fc_1", output_index=2, delta='{"tz":'),
    _event("response.function_call_arguments.delta", item_id="fc_1", output_index=2, delta='"UTC"}'),
    _event("response.function_call_arguments.done", item_id="fc_1", output_index=2, arguments='{"tz":"UTC"}'),
    _event("response.output_item.done", output_index=2, item=TIME),
    _event("response.output_item.added", output_index=3, item={**DATE, "arguments": ""}),
    _event("response.function_call_arguments.delta", item_id="fc_2", output_index=3, delta='{"day":1}'),
    _event("response.function_call_arguments.done", item_id="fc_2", output_index=3, arguments='{"day":1}'),
    _event("response.output_item.done", output_index=3, item=DATE),
    _event(
        "response.completed",
        sequence_number=23,
        response=_response(
            status="completed",
            incomplete_details=None,
            output=[SEALED, _message(status="completed", content=[PART]), TIME, DATE],
            usage={
                "input_tokens": 9,
                "output_tokens": 7,
                "total_tokens": 16,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens_details": {"reasoning_tokens": 3},
            },
        ),
    ),
]

MESSAGES: list[RecordedFrame] = [
    _event(
        "message_start",
        message={
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "model-1",
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 1},
        },
    ),
    _event("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
    _event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Sum it."}),
    _event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "sealed"}),
    _event("content_block_stop", index=0),
    _event("ping"),
    _event("content_block_start", index=1, content_block={"type": "text", "text": ""}),
    _event("content_block_delta", index=1, delta={"type": "text_delta", "text": "Fo"}),
    _event("content_block_delta", index=1, delta={"type": "text_delta", "text": "ur"}),
    _event("content_block_stop", index=1),
    _event(
        "content_block_start",
        index=2,
        content_block={"type": "tool_use", "id": "call_a", "name": "get_time", "input": {}},
    ),
    _event("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": '{"tz":'}),
    _event("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": '"UTC"}'}),
    _event("content_block_stop", index=2),
    _event(
        "content_block_start",
        index=3,
        content_block={"type": "tool_use", "id": "call_b", "name": "get_date", "input": {}},
    ),
    _event("content_block_delta", index=3, delta={"type": "input_json_delta", "partial_json": '{"day":1}'}),
    _event("content_block_stop", index=3),
    _event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 7}),
    _event("message_stop"),
]

STREAMS = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES}


def encoded(frames: list[RecordedFrame]) -> list[tuple[str, bytes]]:
    return [(name, json.dumps(data).encode()) for name, data in frames]
