"""Text is read wherever an API allows it, and once."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import BlockEnd, Reasoning, RefusalText, Text, Usage, UsageDetails
from tests.providers.reading.reading import events, parser, read, sse

STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    "content",
    [
        "Hi",
        ["Hi"],
        [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}],
        {"type": "text", "text": "Hi"},
        [{"type": "output_text", "text": "Hi"}, {"type": "reference", "reference_ids": [1]}],
    ],
)
def test_content_is_text_in_every_form(content: Any) -> None:
    assert read("chat", sse({"choices": [{"delta": {"content": content}}]}, STOP)).text == "Hi"


@pytest.mark.parametrize("content", [7, 1.5, True, [7], [{"type": "text", "text": 7}]])
def test_content_that_is_no_text_is_an_error(content: Any) -> None:
    reading = read("chat", sse({"choices": [{"delta": {"content": content}}]}, STOP))
    assert reading.error is not None and reading.error.detail.reason == "not_json"


def added(index: int) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": {"type": "message", "id": f"m{index}"}}


def text(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.output_text.{kind}", "item_id": f"m{index}", "output_index": index, **fields}


def done(index: int, *texts: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text} for text in texts]
    item = {"type": "message", "id": f"m{index}", "content": content}
    return {"type": "response.output_item.done", "output_index": index, "item": item}


COMPLETED = {"type": "response.completed", "response": {"status": "completed"}}
WHOLE = {"type": "response.completed", "response": {"output": [done(0, "Hello")["item"]]}}
FORMS: dict[str, list[dict[str, Any]]] = {
    "deltas": [added(0), text("delta", delta="Hel"), text("delta", delta="lo"), COMPLETED],
    "deltas, and the whole everywhere": [
        added(0),
        text("delta", delta="Hel"),
        text("delta", delta="lo"),
        text("done", text="Hello"),
        {"type": "response.content_part.done", "part": {"type": "output_text", "text": "Hello"}},
        done(0, "Hello"),
        WHOLE,
    ],
    "the end of the text": [added(0), text("done", text="Hello"), done(0, "Hello"), COMPLETED],
    "the end of the part": [
        added(0),
        {"type": "response.content_part.done", "item_id": "m0", "part": {"type": "output_text", "text": "Hello"}},
        done(0, "Hello"),
        COMPLETED,
    ],
    "the end of the item": [added(0), done(0, "Hel", "lo"), COMPLETED],
    "the Response": [WHOLE],
    "two items": [added(0), done(0, "Hel"), added(1), text("delta", 1, delta="lo"), done(1, "lo"), COMPLETED],
    "nothing says which item, and its id changes": [
        {**text("delta", delta="Hello"), "output_index": None},
        {**done(1, "Hello"), "output_index": None},
        WHOLE,
    ],
    "response.done instead of completed": [
        added(0),
        text("delta", delta="Hello"),
        {"type": "response.done", "response": {"status": "completed", "error": {"code": None}}},
    ],
    "a call in deltas, and the text only in the Response": [
        {"type": "response.output_item.done", "output_index": 1, "item": {"type": "function_call", "name": "f"}},
        WHOLE,
    ],
    "the last delta is missing": [added(0), text("delta", delta="Hel"), text("done", text="Hello"), COMPLETED],
}


@pytest.mark.parametrize("frames", FORMS.values(), ids=FORMS)
def test_the_text_of_a_response_is_told_whole_and_once(frames: list[dict[str, Any]]) -> None:
    reading = read("responses", events(*frames))
    assert reading.text == "Hello"
    assert reading.finish is not None


def test_refusals_and_blocks_of_a_response_that_came_whole_are_told() -> None:
    parts = [{"type": "output_text", "text": "Hi"}, {"type": "refusal", "refusal": "No."}]
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    output = [reasoning, {"type": "message", "content": parts}]
    reading = read("responses", events({"type": "response.completed", "response": {"output": output}}))
    assert reading.events == [
        Reasoning("Hm."),
        BlockEnd("reasoning"),
        Text("Hi"),
        BlockEnd("text"),
        RefusalText("No."),
        BlockEnd("refusal"),
    ]


def test_reasoning_is_read_from_details_alone_and_not_twice() -> None:
    details = [{"type": "reasoning.summary", "summary": "Hm"}]
    for delta in ({"reasoning_details": details}, {"reasoning": "Hm", "reasoning_details": details}):
        assert read("chat", sse({"choices": [{"delta": delta}]}, STOP)).reasoning == "Hm"


@pytest.mark.parametrize("text", ["Hi", [{"type": "text", "text": "Hi"}]])
def test_text_of_the_completions_before_chat_is_read(text: Any) -> None:
    assert read("chat", sse({"choices": [{"index": 0, "text": text}]}, STOP)).text == "Hi"


COUNTS: dict[str, dict[str, Any]] = {
    "in the chunk": {"usage": {"prompt_tokens": 7, "completion_tokens": 2}},
    "in the choice": {"choices": [{**STOP["choices"][0], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}]},
    "in Groq's fields": {"x_groq": {"id": "r", "usage": {"prompt_tokens": 7, "completion_tokens": 2}}},
    "in the words of other APIs": {"usage": {"input_tokens": 7, "output_tokens": 2}},
}


@pytest.mark.parametrize("place", COUNTS.values(), ids=COUNTS)
def test_counts_are_read_wherever_a_vendor_has_them(place: dict[str, Any]) -> None:
    assert read("chat", sse({"choices": [{"delta": {"content": "Hi"}}]}, {**STOP, **place})).usage == Usage(7, 2)


@pytest.mark.parametrize("name", ["cached_tokens", "prompt_cache_hit_tokens"])
def test_cached_tokens_are_read_under_the_names_of_other_vendors(name: str) -> None:
    counts = {"prompt_tokens": 7, "completion_tokens": 2, name: 4}
    assert read("chat", sse({**STOP, "usage": counts})).usage == Usage(7, 2, UsageDetails(cached_tokens=4))


UNREADABLE: dict[str, tuple[str, list[tuple[str, bytes]]]] = {
    "an image": (
        "chat",
        sse({"choices": [{"delta": {"images": [{"type": "image_url", "image_url": {"url": "data:,"}}]}}]}, STOP),
    ),
    "audio": ("chat", sse({"choices": [{"delta": {"audio": {"data": "AAAA"}}}]}, STOP)),
    "an image in the content": ("chat", sse({"choices": [{"delta": {"content": [{"type": "image_url"}]}}]}, STOP)),
    "an item of a Response": (
        "responses",
        events(
            {"type": "response.output_item.added", "output_index": 0, "item": {"type": "image_generation_call"}},
            COMPLETED,
        ),
    ),
    "a block of a message": (
        "messages",
        events(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "image", "source": {}}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ),
    ),
}


@pytest.mark.parametrize(("protocol", "frames"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_answer_that_no_event_can_carry_is_known(protocol: str, frames: list[tuple[str, bytes]]) -> None:
    stream = parser(protocol)
    assert not [event for name, data in frames for event in stream.events(name, data)]
    assert stream.is_unreadable
    assert stream.finish().reason == "stop"


def test_an_empty_answer_is_not_unreadable() -> None:
    stream = parser("chat")
    for name, data in sse({"choices": [{"delta": {"role": "assistant", "content": ""}}]}, STOP):
        stream.events(name, data)
    assert not stream.is_unreadable


@pytest.mark.parametrize("count", [12.0, "12", 12])
def test_counts_in_an_unusual_form_are_counts(count: Any) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": 3.0, "total_tokens": None}
    reading = read("chat", sse(STOP, {"choices": [], "usage": usage}))
    assert reading.usage is not None and (reading.usage.prompt_tokens, reading.usage.completion_tokens) == (12, 3)


@pytest.mark.parametrize("count", ["many", 1.5, True, [1], {}])
def test_counts_that_are_none_are_not_given(count: Any) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": 3}
    reading = read("chat", sse(STOP, {"choices": [], "usage": usage}))
    assert reading.usage is not None and (reading.usage.prompt_tokens, reading.usage.completion_tokens) == (None, 3)
