"""A Responses request, in the form of chat completions."""

from __future__ import annotations

from typing import Any

import pytest

from providers import opaque
from providers.base import Message, Opaque, ReasoningBlock
from streamserver.core.refusals import Refusal
from streamserver.http.apis.responses.fields import read_fields
from streamserver.http.apis.responses.tools import read_tool_choice, read_tools
from streamserver.http.apis.responses.turns import read_turns

SEALED = Opaque("messages", "claude", {"signature": "sig"})
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "time", "arguments": '{"tz":1}', "status": "x"}
CHAT_CALL = {"id": "c1", "type": "function", "function": {"name": "time", "arguments": '{"tz":1}'}}


def turns(*items: Any, instructions: str | None = None) -> list[Message]:
    return read_turns(instructions, list(items))[0]


def test_string_is_a_user_turn_after_the_instructions() -> None:
    assert read_turns("Be brief.", "Hi") == (
        [Message(role="system", content="Be brief."), Message(role="user", content="Hi")],
        [],
    )


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "Hi"},
        {"type": None, "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "message", "role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]},
    ],
)
def test_text_parts_are_one_text(item: dict[str, Any]) -> None:
    assert turns(item) == [Message(role="user", content="Hi")]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_system_turn_stays_in_the_middle(role: Any) -> None:
    between = {"role": role, "content": "Now rhyme."}
    assert turns({"role": "user", "content": "a"}, between, {"role": "user", "content": "b"})[1] == Message(
        role=role, content="Now rhyme."
    )


def test_items_of_one_answer_are_one_assistant_turn() -> None:
    items = [
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": "Sum"}],
            "encrypted_content": opaque.seal(SEALED),
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Wait.", "annotations": []}],
        },
        CALL,
        {"type": "message", "role": "assistant", "content": " Please."},
        {"type": "custom_tool_call", "call_id": "c2", "name": "sh", "input": "ls"},
        {"type": "function_call_output", "call_id": "c1", "output": "noon"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "a.txt"}]},
    ]
    custom = {"id": "c2", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    assert turns(*items) == [
        Message(
            role="assistant",
            content="Wait. Please.",
            tool_calls=[CHAT_CALL, custom],
            reasoning=(ReasoningBlock("Sum", SEALED),),
        ),
        Message(role="tool", tool_call_id="c1", content="noon"),
        Message(role="tool", tool_call_id="c2", content="a.txt"),
    ]


def test_call_without_text_has_no_content() -> None:
    assert turns(CALL) == [Message(role="assistant", content=None, tool_calls=[CHAT_CALL])]


@pytest.mark.parametrize("absent", [{"arguments": None}, {"arguments": ""}])
def test_call_without_arguments_has_an_empty_object(absent: dict[str, Any]) -> None:
    (message,) = turns({**CALL, **absent})
    assert message.tool_calls is not None and message.tool_calls[0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("reasoning", "block"),
    [
        ({"summary": []}, ReasoningBlock("")),
        ({"summary": None, "content": [{"type": "reasoning_text", "text": "raw"}]}, ReasoningBlock("raw")),
        ({"encrypted_content": None}, ReasoningBlock("")),
        (
            {"id": "rs_x", "encrypted_content": "opaque"},
            ReasoningBlock("", Opaque("responses", "", {"id": "rs_x", "encrypted_content": "opaque"})),
        ),
        ({"summary": "odd", "encrypted_content": 5}, ReasoningBlock("")),
    ],
)
def test_reasoning_is_never_refused(reasoning: dict[str, Any], block: ReasoningBlock) -> None:
    assert turns({"type": "reasoning", **reasoning})[0].reasoning == (block,)


def test_images_and_files_are_parts_of_chat_completions() -> None:
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": "https://x/a.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA", "file_id": None},
        {"type": "input_file", "file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://x/a.pdf"},
    ]
    assert turns({"role": "user", "content": content})[0].content == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "https://x/a.pdf", "filename": "document"}},
    ]


def test_items_of_hosted_tools_are_kept_apart() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert read_turns(None, [search, {"role": "user", "content": "a"}]) == (
        [Message(role="user", content="a")],
        [search],
    )


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (5, "input[1]"),
        ({"role": "robot", "content": "a"}, "input[1].role"),
        ({"role": None, "content": "a"}, "input[1].role"),
        ({"role": ["user"], "content": "a"}, "input[1].role"),
        ({"role": "user"}, "input[1].content"),
        ({"role": "user", "content": 5}, "input[1].content"),
        ({"role": "user", "content": ["a"]}, "input[1].content[0]"),
        ({"role": "user", "content": [{"type": "input_text", "text": None}]}, "input[1].content[0].text"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[1].content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_file", "filename": "a"}]}, "input[1].content[0]"),
        ({"role": "user", "content": [{"type": "hologram"}]}, "input[1].content[0].type"),
        ({**CALL, "name": None}, "input[1].name"),
        ({**CALL, "call_id": ""}, "input[1].call_id"),
        ({**CALL, "arguments": {"tz": 1}}, "input[1].arguments"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": 5}, "input[1].input"),
        ({"type": "function_call_output", "output": "a"}, "input[1].call_id"),
        ({"type": "function_call_output", "call_id": "c"}, "input[1].output"),
        ({"type": "function_call_output", "call_id": "c", "output": {"a": 1}}, "input[1].output"),
    ],
)
def test_wrong_item_is_refused_by_its_field(item: Any, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        turns({"role": "user", "content": "a"}, item)
    assert (refused.value.code, refused.value.field) == ("invalid_request", field)


STRICT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("given", "strict"),
    [
        ({"parameters": STRICT}, True),
        ({"parameters": STRICT, "strict": None}, True),
        ({"parameters": STRICT, "strict": False}, False),
        ({"parameters": {"type": "object"}, "strict": True}, True),
        ({}, None),
        ({"parameters": None}, None),
        ({"parameters": {"type": "object", "properties": {}}}, None),
        ({"parameters": {**STRICT, "required": []}}, None),
        ({"parameters": {**STRICT, "properties": {"a": {"type": "object", "properties": {}}}}}, None),
        ({"parameters": {**STRICT, "properties": {"a": {"type": "array", "items": {"type": "object"}}}}}, None),
        ({"parameters": {**STRICT, "properties": {"a": {"oneOf": []}}}}, None),
        ({"parameters": {**STRICT, "properties": {"a": {"anyOf": [{"type": "null"}, STRICT]}}}}, True),
    ],
)
def test_function_without_strict_is_strict_where_its_schema_can_be(given: dict[str, Any], strict: bool | None) -> None:
    tools = read_tools([{"type": "function", "name": "f", **given}])
    assert tools is not None
    tool = tools[0]
    assert tool["type"] == "function" and tool["function"]["name"] == "f"
    assert tool["function"].get("strict") is strict


def test_custom_and_hosted_tools_keep_their_fields() -> None:
    custom = {"type": "custom", "name": "sh", "description": None, "format": {"type": "text"}}
    hosted = {"type": "web_search", "filters": {}}
    assert read_tools([custom, hosted]) == [
        {"type": "custom", "custom": {"name": "sh", "format": {"type": "text"}}},
        hosted,
    ]
    assert read_tools([]) is None and read_tools(None) is None


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "custom", "name": "f"}, {"type": "custom", "custom": {"name": "f"}}),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
        ),
    ],
)
def test_tool_choice_is_nested(choice: Any, expected: Any) -> None:
    assert read_tool_choice(choice) == expected


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"model": None}, "invalid_request", "model"),
        ({"input": None}, "invalid_request", "input"),
        ({"input": []}, "invalid_request", "input"),
        ({"input": ""}, "invalid_request", "input"),
        ({"input": 5}, "invalid_request", "input"),
        ({"temperature": 3}, "invalid_request", "temperature"),
        ({"top_p": -1}, "invalid_request", "top_p"),
        ({"max_output_tokens": 0}, "invalid_request", "max_output_tokens"),
        ({"stream": "yes"}, "invalid_request", "stream"),
        ({"tools": [5]}, "invalid_request", "tools[0]"),
        ({"reasoning": {"effort": "huge"}}, "invalid_request", "reasoning.effort"),
        ({"previous_response_id": "resp_x"}, "previous_response_not_found", "previous_response_id"),
        ({"conversation": "conv_x"}, "unsupported_parameter", "conversation"),
        ({"prompt": {"id": "p"}}, "unsupported_parameter", "prompt"),
    ],
)
def test_wrong_field_is_refused_by_its_name(body: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_fields({"model": "m", "input": "a", **body})
    assert (refused.value.code, refused.value.field) == (code, field)


def test_every_optional_field_may_be_null() -> None:
    optional = ("instructions", "stream", "background", "store", "max_output_tokens", "temperature", "top_p", "tools")
    more = ("tool_choice", "parallel_tool_calls", "text", "reasoning", "metadata", "user", "previous_response_id")
    read_fields({"model": "m", "input": "a", **dict.fromkeys((*optional, *more, "conversation", "prompt", "include"))})
