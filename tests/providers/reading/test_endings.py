"""``done`` means that the model ended its answer; everything else is an error."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Finish
from providers.errors import ProviderError
from tests.providers.reading.reading import Reading, events, read, sse

TEXT = {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}
CALL = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}}]}


def chat_end(word: str, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": word, **choice}]}


def message(word: str, *blocks: dict[str, Any]) -> list[dict[str, Any]]:
    starts = [
        {"type": "content_block_start", "index": number, "content_block": block} for number, block in enumerate(blocks)
    ]
    return [*starts, {"type": "message_delta", "delta": {"stop_reason": word}}, {"type": "message_stop"}]


def reason(reading: Reading) -> str:
    assert reading.finish is not None, reading.error
    return reading.finish.reason


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos_token", "stop"),
        ("end_turn", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("model_context_window_exceeded", "length"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("sensitive", "content_filter"),
        ("a_word_of_next_year", "a_word_of_next_year"),
    ],
)
def test_a_finish_reason_of_any_family_is_translated(word: str, expected: str) -> None:
    for reading in (read("chat", sse(TEXT, chat_end(word))), read("messages", events(*message(word)))):
        assert reading.finish == Finish(expected, None, word)


BROKEN = [
    "error",
    "ERROR",
    "abort",
    "network_error",
    "insufficient_system_resource",
    "MALFORMED_FUNCTION_CALL",
    "timeout",
]


@pytest.mark.parametrize("word", BROKEN)
@pytest.mark.parametrize("text", [True, False], ids=["after text", "before text"])
def test_a_finish_reason_for_a_generation_that_broke_off_is_an_error(word: str, text: bool) -> None:
    for reading in (
        read("chat", sse(*([TEXT] if text else []), chat_end(word), "[DONE]")),
        read("messages", events(*message(word, *([{"type": "text", "text": "Hel"}] if text else [])))),
    ):
        assert reading.error is not None and reading.error.code == "upstream_error"
        assert reading.error.detail.reason == "broken_off" and reading.error.detail.code == word
        assert reading.text == ("Hel" if text else "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": 502, "message": "Provider disconnected"}, "upstream_error"),
        ({"code": 429, "message": "x"}, "rate_limited"),
        ({"code": "content_filter", "message": "x"}, "content_filter"),
        ("it broke", "upstream_error"),
        (True, "upstream_error"),
    ],
)
@pytest.mark.parametrize("word", ["error", "stop", None])
def test_an_error_in_a_choice_is_one(error: Any, code: str, word: str | None) -> None:
    reading = read("chat", sse(TEXT, {"choices": [{"index": 0, "delta": {}, "finish_reason": word, "error": error}]}))
    assert reading.error is not None and reading.error.code == code


@pytest.mark.parametrize("words", [("stop",), ("tool_calls", "stop"), ("stop", "tool_calls"), ("tool_calls",)])
def test_an_answer_with_tool_calls_ends_with_tool_calls(words: tuple[str, ...]) -> None:
    assert reason(read("chat", sse(CALL, *map(chat_end, words), "[DONE]"))) == "tool_calls"


@pytest.mark.parametrize("word", ["tool_calls", "tool_use", "function_call"])
def test_an_answer_that_says_tool_calls_ends_with_them_unless_it_has_nothing(word: str) -> None:
    assert reason(read("chat", sse(CALL, chat_end(word), "[DONE]"))) == "tool_calls"
    assert reason(read("chat", sse(TEXT, chat_end(word), "[DONE]"))) == "tool_calls"
    unread = read("chat", sse(chat_end(word), "[DONE]"))
    assert unread.error is not None and unread.error.detail.reason == "no_tool_call"


@pytest.mark.parametrize("words", [("length",), ("length", "stop"), ("stop", "length")])
def test_an_answer_that_a_limit_cut_stays_cut(words: tuple[str, ...]) -> None:
    for start in (TEXT, CALL):
        assert reason(read("chat", sse(start, *map(chat_end, words), "[DONE]"))) == "length"


def test_a_message_with_tool_use_that_says_end_turn_ends_with_tool_calls() -> None:
    assert (
        reason(read("messages", events(*message("end_turn", {"type": "tool_use", "id": "a", "name": "f"}))))
        == "tool_calls"
    )


MESSAGE_ENDS: dict[str, list[dict[str, Any]]] = {
    "beside the delta": [{"type": "message_delta", "stop_reason": "end_turn"}, {"type": "message_stop"}],
    "in the last event": [{"type": "message_stop", "stop_reason": "end_turn"}],
    "twice, then null": [
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_delta", "delta": {"stop_reason": None}},
        {"type": "message_stop"},
    ],
}


@pytest.mark.parametrize("end", MESSAGE_ENDS.values(), ids=MESSAGE_ENDS)
def test_a_message_ends_wherever_its_stop_reason_is(end: list[dict[str, Any]]) -> None:
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi"}}
    assert reason(read("messages", events(start, *end))) == "stop"


def test_an_end_marker_ends_a_message_that_has_a_stop_reason() -> None:
    start = events({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi"}})
    delta = events({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    assert reason(read("messages", [*start, *delta, *sse("[DONE]")])) == "stop"
    cut = read("messages", [*start, *sse("[DONE]")])
    assert cut.error is not None and cut.error.code == "upstream_disconnected"


@pytest.mark.parametrize(
    ("kind", "response", "expected"),
    [
        ("completed", {"status": "completed"}, "stop"),
        ("completed", {}, "stop"),
        ("incomplete", {"incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ("completed", {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ("incomplete", {"incomplete_details": {"reason": "content_filter"}}, "content_filter"),
    ],
)
def test_a_response_that_ended_says_how(kind: str, response: dict[str, Any], expected: str) -> None:
    text = {"type": "response.output_text.delta", "delta": "Hel"}
    assert reason(read("responses", events(text, {"type": f"response.{kind}", "response": response}))) == expected


@pytest.mark.parametrize(
    ("kind", "response", "code"),
    [
        ("failed", {"status": "failed", "error": {"code": "server_error", "message": "x"}}, "upstream_error"),
        ("failed", {"error": {"code": "rate_limit_exceeded", "message": "x"}}, "rate_limited"),
        ("failed", None, "upstream_error"),
        ("completed", {"status": "failed"}, "upstream_error"),
        ("completed", {"status": "completed", "error": {"code": "server_error", "message": "x"}}, "upstream_error"),
        ("completed", {"status": "cancelled"}, "upstream_error"),
        ("incomplete", {}, "upstream_error"),
        ("incomplete", {"incomplete_details": {"reason": "network_error"}}, "upstream_error"),
    ],
)
def test_a_response_that_broke_off_is_an_error(kind: str, response: dict[str, Any] | None, code: str) -> None:
    text = {"type": "response.output_text.delta", "delta": "Hel"}
    reading = read("responses", events(text, {"type": f"response.{kind}", "response": response}))
    assert reading.text == "Hel"
    assert isinstance(reading.error, ProviderError) and reading.error.code == code
