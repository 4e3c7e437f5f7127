"""UI messages as turns of a conversation."""

from __future__ import annotations

from typing import Any

import pytest

from providers import opaque
from providers.base import Message, Opaque, ReasoningBlock
from streamserver.core.refusals import Refusal
from streamserver.http.apis.ai_sdk.turns import read_turns

SIGNED = Opaque("messages", "model", {"signature": "sig"})
STEP = {"type": "step-start"}
HELLO = {"role": "user", "parts": [{"type": "text", "text": "Hello"}]}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "u", "role": "user", "parts": list(parts)}


def assistant(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "a", "role": "assistant", "parts": list(parts)}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def tool(state: str, call_id: str = "c1", **more: Any) -> dict[str, Any]:
    return {"type": "tool-look", "toolCallId": call_id, "state": state, "input": {"a": 1}, **more}


def called(call_id: str = "c1", arguments: str = '{"a":1}', **more: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "look", "arguments": arguments}, **more}


def refusal_of(*messages: Any) -> Refusal:
    with pytest.raises(Refusal) as raised:
        read_turns(messages)
    return raised.value


def test_texts_are_turns_and_empty_ones_are_left_out() -> None:
    system = {"role": "system", "parts": [text("Be "), text("kind.")]}
    empty = {"role": "system", "parts": [text("")]}
    assert read_turns([system, empty, user(text(""), text("Hi")), assistant(STEP, text("Ho")), user(text(""))]) == [
        Message(role="system", content="Be kind."),
        Message(role="user", content="Hi"),
        Message(role="assistant", content="Ho"),
    ]


def test_several_texts_of_a_user_stay_apart() -> None:
    assert read_turns([user(text("a"), text("b"))])[0].content == [text("a"), text("b")]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"mediaType": "image/png", "url": "data:image/png;base64,AA=="},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        ),
        (
            {"mediaType": "image", "url": "https://host/a.png"},
            {"type": "image_url", "image_url": {"url": "https://host/a.png"}},
        ),
        (
            {"mediaType": "audio/mpeg", "url": "data:audio/mpeg;base64,AA=="},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        ),
        (
            {"mediaType": "application/pdf", "url": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
        ),
        (
            {"mediaType": "text/plain", "url": "http://host/a", "filename": None},
            {"type": "file", "file": {"file_data": "http://host/a", "filename": "document"}},
        ),
    ],
)
def test_file_is_a_part_of_its_kind(part: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read_turns([user({"type": "file", **part})])[0].content == [expected]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"mediaType": "image/png", "url": "x", "providerReference": {"openai": "file-1"}}, "providerReference"),
        ({"mediaType": "image/png"}, "url"),
        ({"mediaType": "image/png", "url": "blob:http://host/1"}, "url"),
        ({"mediaType": None, "url": "https://host/a"}, "mediaType"),
        ({"mediaType": "audio/wav", "url": "https://host/a.wav"}, "url"),
    ],
)
def test_file_is_refused_when_no_provider_could_read_it(part: dict[str, Any], field: str) -> None:
    assert refusal_of(HELLO, user(text("a"), {"type": "file", **part})).field == f"messages[1].parts[1].{field}"


@pytest.mark.parametrize(
    ("part", "result"),
    [
        (tool("output-available", output="text"), "text"),
        (tool("output-available", output={"ü": [1]}), '{"ü":[1]}'),
        (tool("output-available"), "null"),
        (tool("output-error", errorText="No."), "No."),
        (tool("output-denied"), "The call was denied."),
        (tool("output-denied", approval={"id": "1", "approved": False, "reason": "Too dear."}), "Too dear."),
        (tool("approval-responded", approval={"id": "1", "approved": False}), "The call was denied."),
    ],
)
def test_finished_call_is_followed_by_its_result(part: dict[str, Any], result: str) -> None:
    assert read_turns([HELLO, assistant(STEP, text("Let me look."), part)])[1:] == [
        Message(role="assistant", content="Let me look.", tool_calls=[called()]),
        Message(role="tool", tool_call_id="c1", content=result),
    ]


def test_steps_are_turns_of_their_own_with_all_results_behind_them() -> None:
    first, second = tool("output-available", output="1"), tool("output-available", "c2", output="2")
    dynamic = {**tool("output-available", "c3", output="3"), "type": "dynamic-tool", "toolName": "look"}
    assert read_turns([HELLO, assistant(STEP, first, second, STEP, dynamic, STEP, text("Done."))])[1:] == [
        Message(role="assistant", tool_calls=[called(), called("c2")]),
        Message(role="tool", tool_call_id="c1", content="1"),
        Message(role="tool", tool_call_id="c2", content="2"),
        Message(role="assistant", tool_calls=[called("c3")]),
        Message(role="tool", tool_call_id="c3", content="3"),
        Message(role="assistant", content="Done."),
    ]


@pytest.mark.parametrize("state", ["input-available", "approval-requested", "approval-responded"])
def test_call_without_output_is_refused_unless_the_user_went_on(state: str) -> None:
    unfinished = assistant(STEP, text("a"), tool(state))
    assert refusal_of(HELLO, unfinished).field == "messages[1].parts[2]"
    assert read_turns([HELLO, unfinished, HELLO])[1] == Message(role="assistant", content="a")


def test_call_that_was_never_complete_is_left_out() -> None:
    assert read_turns([HELLO, assistant(STEP, tool("input-streaming", input=None))]) == read_turns([HELLO])


@pytest.mark.parametrize("given", [{"input": "{"}, {"input": None, "rawInput": "{"}])
def test_input_that_was_no_json_goes_back_as_an_object(given: dict[str, Any]) -> None:
    turns = read_turns([HELLO, assistant(tool("output-error", errorText="Wrong.", **given))])
    assert turns[1].tool_calls == [called(arguments='{"invalid_input":"{"}')]


def test_call_of_a_custom_tool_has_its_text() -> None:
    turns = read_turns([HELLO, assistant(tool("output-available", input="ls", output=""))])
    assert turns[1].tool_calls == [{"id": "c1", "type": "custom", "custom": {"name": "look", "input": "ls"}}]


def test_call_takes_back_what_its_provider_attached() -> None:
    extra = {"extra_content": {"google": {"thought_signature": "s"}}}
    metadata = {"streamserver": {"call": extra}, "other": {"a": 1}}
    turns = read_turns([HELLO, assistant(tool("output-available", output="", callProviderMetadata=metadata))])
    assert turns[1].tool_calls == [called(extra=extra)]


def test_reasoning_goes_back_only_with_its_opaque_part() -> None:
    sealed = {"providerMetadata": {"streamserver": {"signature": opaque.seal(SIGNED)}}}
    foreign = {"providerMetadata": {"anthropic": {"signature": "x"}}}
    wrong = {"providerMetadata": {"streamserver": {"signature": "x"}}}
    reasoning = [{"type": "reasoning", "text": "sum", **each} for each in ({}, foreign, wrong, sealed)]
    turns = read_turns([HELLO, assistant(STEP, *reasoning, text("4"))])
    assert turns[1:] == [Message(role="assistant", content="4", reasoning=(ReasoningBlock("sum", SIGNED),))]


def test_step_of_reasoning_alone_is_left_out() -> None:
    sealed = {"providerMetadata": {"streamserver": {"signature": opaque.seal(SIGNED)}}}
    assert read_turns([HELLO, assistant(STEP, {"type": "reasoning", "text": "a", **sealed})]) == read_turns([HELLO])


def test_steering_message_is_a_turn_of_the_user() -> None:
    steering = {"type": "steering-message", "id": "s", "parts": [text("Shorter!")]}
    assert read_turns([HELLO, assistant(STEP, text("a"), steering, STEP, text("b"))])[1:] == [
        Message(role="assistant", content="a"),
        Message(role="user", content="Shorter!"),
        Message(role="assistant", content="b"),
    ]


def test_parts_that_are_for_the_page_alone_are_left_out() -> None:
    kinds = ("source-url", "source-document", "data-weather", "custom", "reasoning-file", "file")
    others = [{"type": kind, "url": "https://host", "data": 1} for kind in kinds]
    assert read_turns([HELLO, assistant(STEP, *others, text("a"))])[1:] == [Message(role="assistant", content="a")]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("Hello", "messages[1]"),
        ({"role": "user", "content": "Hello"}, "messages[1].parts"),
        ({"role": "tool", "parts": []}, "messages[1].role"),
        (user({"text": "a"}), "messages[1].parts[0].type"),
        (user({"type": "text", "text": None}), "messages[1].parts[0].text"),
        (assistant({"type": "tool-look"}), "messages[1].parts[0].toolCallId"),
        (assistant({"type": "dynamic-tool", "toolCallId": "c1"}), "messages[1].parts[0]"),
        (assistant({"type": "steering-message"}), "messages[1].parts[0].parts"),
    ],
)
def test_wrong_message_is_refused_with_its_place(message: Any, field: str) -> None:
    assert refusal_of(HELLO, message).field == field
