"""Messages are read from what clients send back, whatever an SDK or a gateway added to it."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Message, Opaque, ReasoningBlock
from providers.conversation import read_message, read_messages
from providers.message_text import request_texts
from providers.opaque import seal
from providers.validation import Invalid

SIGNED = Opaque("messages", "claude-1", {"signature": "c2ln"})


def read(**entry: Any) -> Message:
    return read_message(entry, "messages[0]")


def reasoning_of(**fields: Any) -> list[ReasoningBlock]:
    return list(read(role="assistant", content="x", **fields).reasoning)


def test_read_message_takes_null_and_empty_fields_as_absent() -> None:
    dumped: dict[str, Any] = {
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
        "name": "",
    }
    assert read(role="assistant", content="x", **dumped) == Message(role="assistant", content="x")
    assert read(role="assistant", content="x", logprobs={}) == Message(role="assistant", content="x")


def test_read_message_keeps_zero_and_false_of_unknown_fields() -> None:
    assert read(role="user", content="x", weight=0, partial=False).extra == {"weight": 0, "partial": False}


def test_read_message_keeps_unknown_fields_in_extra() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f"}, "extra_content": {"google": {"s": "1"}}}
    message = read(role="assistant", tool_calls=[call], extra={"a": 1}, phase="commentary")
    assert message.tool_calls == [call]
    assert message.extra == {"extra": {"a": 1}, "phase": "commentary"}
    assert message.reasoning == ()


@pytest.mark.parametrize(
    ("fields", "blocks"),
    [
        ({"reasoning_content": "hm"}, [ReasoningBlock("hm")]),
        ({"reasoning": "hm"}, [ReasoningBlock("hm")]),
        ({"reasoning_content": 7}, []),
        ({"thinking_blocks": "hm"}, []),
        ({"thinking_blocks": [7, {"type": "thinking"}]}, []),
        (
            {
                "reasoning_content": "hm",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "opaque"},
                    {"type": "thinking", "thinking": "unsigned", "signature": ""},
                ],
            },
            [
                ReasoningBlock("hm", Opaque("messages", "", {"signature": "c2ln"})),
                ReasoningBlock("", Opaque("messages", "", {"data": "opaque"})),
                ReasoningBlock("unsigned"),
            ],
        ),
        (
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "hm", "signature": "c2ln"},
                    {"type": "reasoning.summary", "summary": "so"},
                    {"type": "reasoning.of_next_year"},
                ]
            },
            [ReasoningBlock("hm", Opaque("messages", "", {"signature": "c2ln"})), ReasoningBlock("so")],
        ),
        (
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "not ours"}], "reasoning": "hm"},
            [ReasoningBlock("hm")],
        ),
        (
            {"reasoning_content": "hm", "reasoning_details": [{"type": "reasoning.encrypted", "data": seal(SIGNED)}]},
            [ReasoningBlock("hm", SIGNED)],
        ),
        (
            {
                "reasoning_content": "first second",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": seal(SIGNED)}] * 2,
            },
            [ReasoningBlock("first second")],
        ),
    ],
)
def test_read_message_reads_reasoning_of_every_form(fields: dict[str, Any], blocks: list[ReasoningBlock]) -> None:
    assert reasoning_of(**fields) == blocks


def test_read_message_keeps_the_vendors_details_and_not_what_was_sealed_for_another_protocol() -> None:
    own = {"type": "reasoning.encrypted", "data": "gemini's own"}
    sealed = {"type": "reasoning.encrypted", "data": seal(SIGNED)}
    assert read(role="assistant", content="x", reasoning_details=[own, sealed]).extra == {"reasoning_details": [own]}
    assert read(role="assistant", content="x", reasoning_details=[sealed]).extra == {}


def test_read_message_reads_reasoning_of_the_assistant_only() -> None:
    message = read(role="user", content="x", reasoning_content="hm")
    assert (message.reasoning, message.extra) == ((), {"reasoning_content": "hm"})


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("hi", "messages[2]"),
        ({"content": "x"}, "messages[2].role"),
        ({"role": "", "content": "x"}, "messages[2].role"),
        ({"role": "boss", "content": "x"}, "messages[2].role"),
        ({"role": "user", "content": 1}, "messages[2].content"),
        ({"role": "user", "content": ["x"]}, "messages[2].content[0]"),
        ({"role": "user", "content": [{"text": "x"}]}, "messages[2].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[2].content[0].text"),
        ({"role": "assistant", "tool_calls": "f"}, "messages[2].tool_calls"),
        ({"role": "assistant", "tool_calls": ["f"]}, "messages[2].tool_calls[0]"),
    ],
)
def test_read_messages_names_the_entry_when_it_is_wrong(entry: Any, key: str) -> None:
    fine = {"role": "user", "content": "x"}
    with pytest.raises(Invalid) as failure:
        read_messages([fine, fine, entry])
    assert failure.value.key == key


def test_request_texts_count_each_reasoning_once() -> None:
    marked = "m" * 50
    for message in (
        read(role="assistant", content="x", reasoning_content=marked),
        Message(role="assistant", content="x", reasoning=[ReasoningBlock(marked)]),
    ):
        assert "".join(request_texts([message])).count("m" * 50) == 1
