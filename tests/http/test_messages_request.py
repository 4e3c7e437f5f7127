"""A request of Anthropic's Messages in the form of chat completions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers import opaque
from providers.base import ChatRequest, Message, Opaque, ReasoningBlock, Source
from providers.errors import InvalidRequest
from providers.openai.chat_request import payload
from providers.openai.options import OpenAIOptions
from streamserver.core.refusals import Refusal
from streamserver.http.apis.messages.tools import read_tool_choice, read_tools
from streamserver.http.apis.messages.turns import newest_prompt_field, read_turns

TEXT = {"type": "text", "text": "a"}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def result(content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "c1", "content": content, **fields}


def one(message: dict[str, Any]) -> Message:
    (read,) = read_turns(None, [message])
    return read


def test_system_texts_are_joined_by_a_blank_line_without_claude_codes_changing_header() -> None:
    header = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=1f2;"}
    for system, expected in (
        ("Be kind.", "Be kind."),
        ([TEXT, {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}], "a\n\nb"),
        ([header, TEXT], "a"),
    ):
        assert read_turns(system, [])[0] == Message(role="system", content=expected)  # type: ignore[arg-type]
    assert read_turns(None, []) == read_turns([header], []) == read_turns("", []) == []


def test_system_turn_stays_in_its_place() -> None:
    turns = read_turns("first", [user(TEXT), {"role": "system", "content": "then"}, assistant(TEXT)])
    assert [(turn.role, turn.content) for turn in turns] == [
        ("system", "first"), ("user", "a"), ("system", "then"), ("assistant", "a"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"role": "user", "content": "a"}, "a"),
        (user(TEXT), "a"),
        (user({**TEXT, "cache_control": {"type": "ephemeral"}, "citations": None}), "a"),
        (user(TEXT, TEXT), [TEXT, TEXT]),
        (user({**TEXT, "cache_control": {"type": "ephemeral"}}, TEXT), [TEXT, TEXT]),
        (user(), ""),
        ({"role": "user", "content": ""}, ""),
        (assistant(TEXT, TEXT), "aa"),
        (assistant(), ""),
        (assistant({"type": "thinking", "thinking": "t", "signature": ""}), ""),
    ],
)
def test_texts_become_a_string_or_parts_without_marks_of_the_cache(message: dict[str, Any], content: Any) -> None:
    assert one(message).content == content


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
            {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
        ),
        (
            {"type": "document", "title": "T", "source": {"type": "base64", "media_type": "application/pdf",
                                                          "data": "AAAA"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "T"}},
        ),
        (
            {"type": "document", "title": None, "source": {"type": "text", "media_type": "text/plain", "data": "hé"}},
            {"type": "file", "file": {"file_data": "data:text/plain;base64,aMOp", "filename": "document"}},
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}},
            {"type": "file", "file": {"file_data": "https://a/b.pdf", "filename": "document"}},
        ),
        ({"type": "document", "source": {"type": "content", "content": [TEXT, TEXT]}},
         {"type": "text", "text": "a\na"}),
        ({"type": "document", "source": {"type": "content", "content": "c"}}, {"type": "text", "text": "c"}),
        ({"type": "search_result", "source": "u", "title": "t", "content": [TEXT]}, TEXT),
        ({"type": "container_upload", "file_id": "f"}, {"type": "text", "text": ""}),
    ],
)  # fmt: skip
def test_block_becomes_a_part(block: dict[str, Any], part: dict[str, Any]) -> None:
    assert one(user(TEXT, block)).content == [TEXT, part]


def test_tool_results_come_before_the_rest_of_their_turn_each_as_a_turn_of_its_own() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}
    turns = read_turns(None, [user(TEXT, result("r"), result([TEXT, image], tool_use_id="c2"))])
    assert [(turn.role, turn.tool_call_id) for turn in turns] == [("tool", "c1"), ("tool", "c2"), ("user", None)]
    assert turns[0].content == "r" and turns[2].content == "a"
    assert turns[1].content == [TEXT, {"type": "image_url", "image_url": {"url": "https://a/b.png"}}]


def test_consecutive_messages_of_one_role_are_one_turn_with_its_tool_results_first() -> None:
    first: dict[str, Any] = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    second = {**first, "id": "c2"}
    turns = read_turns(
        None,
        [user(TEXT), {"role": "user", "content": "b"}, assistant(TEXT, first), assistant(TEXT, second),
         user(TEXT), user(result("r")), user(result("s", tool_use_id="c2"))],
    )  # fmt: skip
    assert [(turn.role, turn.tool_call_id, turn.content) for turn in turns] == [
        ("user", None, [TEXT, {"type": "text", "text": "b"}]),
        ("assistant", None, "aa"),
        ("tool", "c1", "r"),
        ("tool", "c2", "s"),
        ("user", None, "a"),
    ]
    assert turns[1].tool_calls is not None and [call["id"] for call in turns[1].tool_calls] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("block", "content"),
    [
        (result(None), ""),
        (result([]), ""),
        (result([TEXT, TEXT]), "aa"),
        (result("no", is_error=True), "Error: no"),
        (result("Error: no", is_error=True), "Error: no"),
        (result([TEXT], is_error=True), "Error: a"),
        (result(None, is_error=True), "Error: "),
        (result("fine", is_error=False), "fine"),
    ],
)
def test_tool_result_says_in_its_text_that_it_is_an_error(block: dict[str, Any], content: str) -> None:
    assert one(user(block)) == Message(role="tool", tool_call_id="c1", content=content)


def test_assistant_turn_has_its_reasoning_text_and_calls() -> None:
    sealed = Opaque("responses", "gpt", {"id": "rs", "encrypted_content": "e"})
    turn = one(
        assistant(
            {"type": "thinking", "thinking": "t", "signature": "sig"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "thinking", "thinking": "u", "signature": opaque.seal(sealed)},
            {"type": "thinking", "thinking": "v"},
            TEXT,
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"x": "é"}},
            {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]},
        )
    )
    assert turn.reasoning == (
        ReasoningBlock("t", Opaque("messages", "", {"signature": "sig"})),
        ReasoningBlock("", Opaque("messages", "", {"data": "d"})),
        ReasoningBlock("u", sealed),
        ReasoningBlock("v"),
    )
    assert turn.content == "a" and turn.tool_calls is not None
    assert [(each["id"], each["function"]["name"]) for each in turn.tool_calls] == [("c1", "f"), ("c2", "g")]
    assert [each["function"]["arguments"] for each in turn.tool_calls] == ['{"x":"é"}', "{}"]


def test_assistant_turn_has_no_content_when_it_only_calls_tools() -> None:
    assert one(assistant({"type": "tool_use", "id": "c1", "name": "f", "input": {}})).content is None


@pytest.mark.parametrize(
    ("last", "field"),
    [
        (user(TEXT), "messages[1].content"),
        (user(result("r")), "messages[0].content"),
        (assistant(), "messages[0].content"),
    ],
)
def test_newest_prompt_is_what_the_user_said_last(last: dict[str, Any], field: str) -> None:
    assert newest_prompt_field([{"role": "user", "content": "a"}, last]) == field


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": None}, "messages[0].content"),
        ({"role": "user", "content": 5}, "messages[0].content"),
        ({"role": "tool", "content": "a"}, "messages[0].role"),
        ({"content": "a"}, "messages[0].role"),
        (user("a"), "messages[0].content[0]"),
        (user({"text": "a"}), "messages[0].content[0].type"),
        (user(TEXT, {"type": "text"}), "messages[0].content[1].text"),
        (user({"type": "image"}), "messages[0].content[0].source"),
        (user({"type": "image", "source": {"type": "base64"}}), "messages[0].content[0].source.media_type"),
        (user({"type": "document", "source": {"type": "url"}}), "messages[0].content[0].source.url"),
        (user({"type": "tool_result", "content": "a"}), "messages[0].content[0].tool_use_id"),
        (user(result(5)), "messages[0].content[0].content"),
        (user(result([{"type": "text"}])), "messages[0].content[0].content[0].text"),
        (assistant({"type": "tool_use", "name": "f"}), "messages[0].content[0].id"),
        (assistant({"type": "text", "text": None}), "messages[0].content[0].text"),
    ],
)
def test_refusal_names_the_field_that_is_wrong(message: dict[str, Any], field: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_turns(None, [message])
    assert (caught.value.code, caught.value.field) == ("invalid_request", field)


def test_refusal_names_a_system_block_that_is_no_text() -> None:
    with pytest.raises(Refusal) as caught:
        read_turns([TEXT, {"type": "image"}], [])
    assert caught.value.field == "system[1]"


def test_tools_become_functions_and_server_tools_stay() -> None:
    schema = {"type": "object", "properties": {"x": {}}}
    search = {"type": "web_search_20250305", "name": "web_search"}
    tools: list[dict[str, Any]] = [
        {"name": "f", "description": "d", "input_schema": schema, "cache_control": {"type": "ephemeral"}},
        {"type": "custom", "name": "g", "input_schema": schema, "strict": True},
        {"type": None, "name": "h"},
        search,
    ]
    assert read_tools(tools) == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}},
        {"type": "function", "function": {"name": "g", "parameters": schema, "strict": True}},
        {"type": "function", "function": {"name": "h"}},
        search,
    ]
    assert read_tools([]) is None and read_tools(None) is None


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, (None, None)),
        ({"type": "auto"}, ("auto", None)),
        ({"type": "none"}, ("none", None)),
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", False)),
        ({"type": "tool", "name": "f"}, ({"type": "function", "function": {"name": "f"}}, None)),
    ],
)
def test_tool_choice_is_translated(choice: dict[str, Any] | None, expected: Any) -> None:
    assert read_tool_choice(choice) == expected


@pytest.mark.parametrize("choice", [{"type": "tool"}, {"type": "sometimes"}, {"name": "f"}])
def test_unknown_tool_choice_is_refused(choice: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        read_tool_choice(choice)
    assert caught.value.field == "tool_choice.type"


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        ({"mcp_servers": [{}]}, user(TEXT), "mcp_servers"),
        ({"container": "c"}, user(TEXT), "container"),
        ({"output_config": {"format": {"type": "grammar"}}}, user(TEXT), "output_config.format"),
        ({}, user({"type": "image", "source": {"type": "file", "file_id": "f"}}), "messages"),
        ({}, user({"type": "document", "source": {"type": "file", "file_id": "f"}}), "messages"),
        ({}, user(result([{"type": "image", "source": {"type": "file", "file_id": "f"}}])), "messages"),
    ],
)
def test_other_vendors_provider_refuses_what_only_anthropics_has(
    body: dict[str, Any], message: dict[str, Any], param: str
) -> None:
    source = Source(protocol="messages", body={**body, "messages": [message]})
    request = ChatRequest(messages=read_turns(None, [message]), model="m", max_tokens=5, source=source)
    with pytest.raises(InvalidRequest) as caught:
        payload(request, OpenAIOptions(kind="openai", model="m"))
    assert caught.value.detail.param == param and not caught.value.sent
    assert json.dumps(message["content"]) not in caught.value.message
