"""A stream that is passed on reaches its end on its own wire, whatever type a field of a frame has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from providers.answer import AnswerParser
from providers.anthropic.events import MessagesParser
from providers.base import ApiProtocol, Frame
from providers.errors import ProviderError
from providers.openai.chat_stream import ChatParser
from providers.openai.responses_stream import ResponsesParser
from providers.parser import FrameParser
from streamserver.log.records import UNKNOWN_USAGE, Done, Record, Start
from streamserver.wire.base import Wire
from streamserver.wire.chat import CHAT_WIRE
from streamserver.wire.messages import MESSAGES_WIRE
from streamserver.wire.responses import RESPONSES_WIRE
from tests.support.json_values import REMOVED, replaced
from tests.wire.test_every_wire import encode

VALUES: tuple[Any, ...] = (None, "x", 1, 1.5, True, [], [1], {}, {"a": 1})


def chunk(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **fields}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def block(index: int, kind: str, delta: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return [
        event("content_block_start", index=index, content_block={"type": kind, **fields}),
        event("content_block_delta", index=index, delta=delta),
        event("content_block_stop", index=index),
    ]


CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
PART = {"type": "output_text", "text": "Hi", "annotations": []}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [PART]}
TOOL = {"id": "f", "call_id": "c", "type": "function_call", "name": "f", "arguments": "{}"}
IN_MESSAGE = {"item_id": "m", "output_index": 0, "content_index": 0}
IN_TOOL = {"item_id": "f", "output_index": 1}
CREATED = {"id": "r", "object": "response", "status": "in_progress", "output": []}
USAGE = {"input_tokens": 1, "output_tokens": 2}
COMPLETED = event(
    "response.completed", response={**CREATED, "status": "completed", "output": [MESSAGE], "usage": USAGE}
)

CHUNKS = [
    chunk({"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}),
    chunk({"tool_calls": [CALL]}),
    chunk({"content": [{"type": "text", "text": "more"}]}),
    chunk({}, "tool_calls", usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}),
]
ANTHROPIC = [
    event(
        "message_start",
        message={"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": USAGE},
    ),
    *block(0, "tool_use", {"type": "input_json_delta", "partial_json": "{}"}, id="t", name="f", input={}),
    *block(1, "text", {"type": "text_delta", "text": "Hi"}, text=""),
    *block(2, "thinking", {"type": "thinking_delta", "thinking": "Hm"})[1:],
    event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 3}),
    event("message_stop"),
]
RESPONSES = [
    event("response.created", response=CREATED),
    event("response.output_item.added", output_index=0, item={**MESSAGE, "content": []}),
    event("response.content_part.added", **IN_MESSAGE, part={**PART, "text": ""}),
    event("response.output_text.delta", **IN_MESSAGE, delta="Hi"),
    event("response.output_text.done", **IN_MESSAGE, text="Hi"),
    event("response.output_item.done", output_index=0, item=MESSAGE),
    event("response.output_item.added", output_index=1, item={**TOOL, "arguments": ""}),
    event("response.function_call_arguments.delta", **IN_TOOL, delta="{}"),
    event("response.function_call_arguments.done", **IN_TOOL, arguments="{}"),
    event("response.output_item.done", output_index=1, item=TOOL),
    COMPLETED,
]
UNCLOSED = [each for each in RESPONSES if not each["type"].endswith("output_item.done")]

CASES: dict[str, tuple[ApiProtocol, Wire, Callable[[], AnswerParser], list[dict[str, Any]], bytes]] = {
    "chat": ("chat", CHAT_WIRE, ChatParser, CHUNKS, b"data: [DONE]\n\n"),
    "messages": ("messages", MESSAGES_WIRE, lambda: MessagesParser("m"), ANTHROPIC, b"event: message_stop\n"),
    "responses": ("responses", RESPONSES_WIRE, lambda: ResponsesParser("m"), RESPONSES, b"event: response.completed\n"),
    "unclosed": ("responses", RESPONSES_WIRE, lambda: ResponsesParser("m"), UNCLOSED, b"event: response.completed\n"),
}


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every field and every item in ``value``."""
    items: Sequence[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def log_of(
    protocol: ApiProtocol, wire: Wire, parser: AnswerParser, frames: list[dict[str, Any]]
) -> list[Record] | None:
    """Return the log of a stream of ``frames``, None if the provider failed."""
    frame_parser = FrameParser(parser, protocol)
    records: list[Record] = [Start("s" * 22, "r", "up", "m", wire=wire.name, options={"include_usage": True})]
    try:
        for each in frames:
            name = "" if protocol == "chat" else str(each.get("type") or "")
            events = frame_parser.events(name, json.dumps(each).encode())
            records += [found for found in events if isinstance(found, Frame)]
        finish = frame_parser.finish()
        records += [found for found in frame_parser.rest() if isinstance(found, Frame)]
    except ProviderError:
        return None
    return [*records, Done(finish.reason, "up", "m", UNKNOWN_USAGE, 1.0, 2.0, provider_reason=finish.provider_reason)]


@pytest.mark.parametrize(("protocol", "wire", "parser", "frames", "end"), CASES.values(), ids=CASES)
def test_stream_is_replayed_to_its_end_when_a_field_has_another_type(
    protocol: ApiProtocol, wire: Wire, parser: Callable[[], AnswerParser], frames: list[dict[str, Any]], end: bytes
) -> None:
    completed = 0
    for number, frame in enumerate(frames):
        for path in places(frame):
            for value in (*VALUES, REMOVED):
                own = replaced(frames, (number, *path), value)
                records = log_of(protocol, wire, parser(), own)
                if records is not None:
                    completed += 1
                    assert encode(wire, records).count(end) == 1, (path, value)
                    json.loads(wire.whole(records).body)
    assert completed > 100
