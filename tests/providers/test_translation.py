"""One request in every protocol: what each can express, and what is refused before anything is sent."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from anthropic.types import MessageParam
from openai.types.responses import ResponseInputItemParam, ToolParam
from openai.types.responses.tool_choice_allowed_param import ToolChoiceAllowedParam

from providers.anthropic.request import payload as messages_payload
from providers.base import ChatRequest, Message, Opaque, ReasoningBlock, Source
from providers.conversation import read_message
from providers.errors import InvalidRequest
from providers.openai.chat_request import payload as chat_payload
from providers.openai.options import OpenAIOptions
from providers.openai.responses_request import payload as responses_payload
from providers.transport import Transport
from tests.conftest import StartUpstream
from tests.providers.asking import ask, build, request
from tests.support.upstream import answer


def chat(asked: ChatRequest, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    return chat_payload(asked, OpenAIOptions(kind="openai", model="m", extra=extra or {}))


def responses(asked: ChatRequest, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return responses_payload(asked, extra or {})


def messages(asked: ChatRequest, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return messages_payload(asked, extra or {})


Payload = Callable[[ChatRequest], dict[str, Any]]

SCHEMA = {"name": "city", "schema": {"type": "object"}, "strict": True}
PARAMETERS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["END"],
    "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    "reasoning_effort": "high",
    "parallel_tool_calls": False,
    "user": "u-1",
}


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def call(call_id: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, **function(name, arguments=arguments)}


CUSTOM_CALL = {"id": "c1", "type": "custom", "custom": {"name": "run", "input": "print(1)"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [function("g")]}}


def test_chat_sends_parameters_by_the_same_names() -> None:
    body = chat(request(**PARAMETERS, tools=[function("f")], tool_choice=ALLOWED, extra={"seed": 1}))
    expected = {**PARAMETERS, "tools": [function("f")], "tool_choice": ALLOWED, "seed": 1}
    assert {name: body[name] for name in expected} == expected
    assert chat(request(tools=[], stop=[])).keys() == chat(request()).keys()


def test_responses_sends_parameters_by_its_own_names() -> None:
    asked = request(**{**PARAMETERS, "stop": ()}, extra={"verbosity": "low", "service_tier": "flex", "seed": 1})
    body = responses(asked, {"reasoning": {"summary": "auto", "effort": "low"}, "text": {"verbosity": "high"}})
    assert body["text"] == {"verbosity": "low", "format": {"type": "json_schema", **SCHEMA}}
    assert body["reasoning"] == {"summary": "auto", "effort": "high"}
    shared = ("temperature", "top_p", "parallel_tool_calls", "user", "service_tier")
    assert {name: body[name] for name in shared} == {
        "temperature": 0.5,
        "top_p": 0.9,
        "parallel_tool_calls": False,
        "user": "u-1",
        "service_tier": "flex",
    }
    assert not body.keys() & {"response_format", "reasoning_effort", "verbosity", "seed", "stop"}


def test_responses_takes_what_it_shares_with_chat_from_a_body_of_that_protocol() -> None:
    shared = {
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "service_tier": None,
        "verbosity": "low",
        "store": True,
    }
    body = responses(request(source=source("chat", **shared)))
    assert (body["prompt_cache_key"], body["safety_identifier"], body["store"]) == ("k", "s", False)
    assert body["text"] == {"verbosity": "low"}
    assert "service_tier" not in body


def test_messages_sends_parameters_by_its_own_names() -> None:
    asked = request(**PARAMETERS, tools=[function("f")], extra={"seed": 1})
    assert messages(asked, {"metadata": {"user_id": "config", "kept": True}}) == {
        "model": "m",
        "max_tokens": 100,
        "stream": True,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1", "kept": True},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    }


@pytest.mark.parametrize(
    ("effort", "sent"),
    [
        ("minimal", {"output_config": {"effort": "low"}}),
        ("low", {"output_config": {"effort": "low"}}),
        ("max", {"output_config": {"effort": "max"}}),
        ("of_next_year", {}),
        ("none", {"thinking": {"type": "disabled"}}),
    ],
)
def test_messages_translates_effort_to_a_budget(effort: str, sent: dict[str, Any]) -> None:
    body = messages(request(reasoning_effort=effort))
    assert {name: body[name] for name in ("output_config", "thinking") if name in body} == sent


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        (function("g"), False, {"type": "tool", "name": "g", "disable_parallel_tool_use": True}),
        (None, True, None),
        ({"type": "tool", "name": "g"}, None, {"type": "tool", "name": "g"}),
    ],
)
def test_messages_translates_the_choice_of_tools(choice: Any, parallel: bool | None, sent: Any) -> None:
    tools = [function("f"), function("g")]
    body = messages(request(tools=tools, tool_choice=choice, parallel_tool_calls=parallel))
    assert body.get("tool_choice") == sent
    assert len(body["tools"]) == 2


def test_messages_sends_only_the_allowed_tools() -> None:
    body = messages(request(tools=[function("f"), function("g", strict=True)], tool_choice=ALLOWED))
    assert body["tools"] == [{"name": "g", "input_schema": {"type": "object"}, "strict": True}]
    assert body["tool_choice"] == {"type": "any"}


def test_responses_sends_custom_and_allowed_tools_flat() -> None:
    grammar = {"type": "grammar", "grammar": {"definition": "d", "syntax": "lark"}}
    custom = {"type": "custom", "custom": {"name": "run", "format": grammar}}
    body = responses(request(tools=[function("g"), custom], tool_choice=ALLOWED))
    tools: list[ToolParam] = [
        {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}, "strict": False},
        {"type": "custom", "name": "run", "format": {"type": "grammar", "definition": "d", "syntax": "lark"}},
    ]
    choice: ToolChoiceAllowedParam = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "g"}],
    }
    assert (body["tools"], body["tool_choice"]) == (tools, choice)
    named = responses(request(tools=[custom], tool_choice={"type": "custom", "custom": {"name": "run"}}))
    assert named["tool_choice"] == {"type": "custom", "name": "run"}


def test_messages_puts_the_results_of_a_round_first_in_the_users_next_turn() -> None:
    asked = request(
        Message(role="user", content="a"),
        Message(role="user", content="b"),
        Message(role="assistant", content="", tool_calls=[call("1"), call("2", arguments='{"x": 1}')]),
        Message(role="tool", tool_call_id="1", content=[{"type": "text", "text": "one"}, IMAGE]),
        Message(role="user", content="meanwhile"),
        Message(role="tool", tool_call_id="2", content="two"),
        Message(role="user", content=[{"type": "text", "text": ""}, PDF]),
        Message(role="assistant", refusal="I will not"),
        Message(role="assistant", content="Well"),
    )
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    expected: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "2", "name": "f", "input": {"x": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "one"}, image]},
                {"type": "tool_result", "tool_use_id": "2", "content": "two"},
                {"type": "text", "text": "meanwhile"},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
                    "title": "a.pdf",
                },
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "I will not"}, {"type": "text", "text": "Well"}]},
    ]
    typed: list[MessageParam] = expected
    assert messages(asked)["messages"] == typed


@pytest.mark.parametrize(
    ("data", "source"),
    [
        ("https://example.org/a.pdf", {"type": "url", "url": "https://example.org/a.pdf"}),
        (
            f"data:text/markdown;charset=utf-8;base64,{base64.b64encode('grüße'.encode()).decode()}",
            {"type": "text", "media_type": "text/plain", "data": "grüße"},
        ),
    ],
)
def test_messages_takes_files_as_documents(data: str, source: dict[str, str]) -> None:
    asked = request(Message(role="user", content=[{"type": "file", "file": {"file_data": data}}]))
    assert messages(asked)["messages"][0]["content"] == [{"type": "document", "source": source}]


def test_responses_takes_images_and_files_also_in_results() -> None:
    web_file = {"type": "file", "file": {"file_data": "https://example.org/a.pdf"}}
    asked = request(
        Message(role="user", content=[PDF, web_file]),
        Message(role="assistant", tool_calls=[call("1"), CUSTOM_CALL]),
        Message(role="tool", tool_call_id="1", content=[{"type": "text", "text": "one"}, IMAGE]),
        Message(
            role="tool", tool_call_id="c1", content=[{"type": "text", "text": "t"}, {"type": "text", "text": "wo"}]
        ),
        read_message({"role": "assistant", "content": "x", "phase": "commentary"}, ""),
    )
    expected: list[ResponseInputItemParam] = [
        {
            "role": "user",
            "content": [
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                {"type": "input_file", "file_url": "https://example.org/a.pdf"},
            ],
        },
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "run", "input": "print(1)"},
        {
            "type": "function_call_output",
            "call_id": "1",
            "output": [
                {"type": "input_text", "text": "one"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
            ],
        },
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "two"},
        {"role": "assistant", "content": "x", "phase": "commentary"},
    ]
    assert responses(asked)["input"] == expected


def test_chat_shows_the_images_of_results_in_a_user_turn_after_the_round() -> None:
    asked = request(
        Message(role="assistant", tool_calls=[call("1"), call("2")]),
        Message(role="tool", tool_call_id="1", content=[{"type": "text", "text": "one"}, IMAGE]),
        Message(role="tool", tool_call_id="2", content=[IMAGE]),
        Message(role="user", content="?"),
        Message(role="tool", tool_call_id="3", content=[IMAGE]),
    )
    assert chat(asked)["messages"] == [
        {"role": "assistant", "tool_calls": [call("1"), call("2")]},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "one"}]},
        {"role": "tool", "tool_call_id": "2", "content": ""},
        {"role": "user", "content": [IMAGE, IMAGE]},
        {"role": "user", "content": "?"},
        {"role": "tool", "tool_call_id": "3", "content": ""},
        {"role": "user", "content": [IMAGE]},
    ]


def test_chat_sends_back_turns_with_their_unknown_fields() -> None:
    dumped: dict[str, Any] = {
        "role": "assistant",
        "content": "x",
        "tool_calls": [{**call("1"), "extra_content": {"google": {"thought_signature": "s"}}}],
        "reasoning_content": "hm",
        "reasoning_details": [{"type": "reasoning.text", "text": "hm"}],
    }
    asked = request(read_message({**dumped, "audio": None, "annotations": []}, ""), Message(role="tool"))
    assert chat(asked)["messages"] == [dumped, {"role": "tool", "content": ""}]


def test_chat_sends_back_the_reasoning_of_another_wire_unless_it_is_signed() -> None:
    signed = ReasoningBlock("secret", Opaque("messages", "m", {"signature": "s"}))
    asked = request(
        Message(role="assistant", content="x", reasoning=[ReasoningBlock("h"), signed, ReasoningBlock("m")])
    )
    assert chat(asked)["messages"][0]["reasoning_content"] == "hm"


REASONING = [
    ReasoningBlock("unsigned"),
    ReasoningBlock("other model", Opaque("messages", "claude-9", {"signature": "s9"})),
    ReasoningBlock("hm", Opaque("messages", "m-20250929", {"signature": "s"})),
    ReasoningBlock("", Opaque("messages", "m", {"data": "redacted"})),
    ReasoningBlock("so", Opaque("responses", "m", {"id": "rs_1", "encrypted_content": "e"})),
]


def test_reasoning_goes_back_to_the_model_that_made_it_and_before_the_words() -> None:
    asked = request(Message(role="assistant", content="x", reasoning=REASONING))
    assert messages(asked)["messages"][0]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "redacted"},
        {"type": "text", "text": "x"},
    ]
    assert responses(asked)["input"] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "so"}],
            "encrypted_content": "e",
        },
        {"role": "assistant", "content": "x"},
    ]


def test_messages_thinks_in_a_tool_round_when_the_reasoning_is_signed() -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
    for reasoning, thinks in ((REASONING, True), (REASONING[:2], False)):
        asked = request(
            Message(role="assistant", tool_calls=[call("1")], reasoning=reasoning), Message(role="tool", content="r")
        )
        assert ("thinking" in messages(asked, thinking)) is thinks
    forced = request(tools=[function("f")], tool_choice="required")
    assert "thinking" not in messages(forced, thinking)


def part(content: Any) -> ChatRequest:
    return request(Message(role="user", content="a"), Message(role="user", content=[content]), source=source("chat"))


def source(protocol: Any, **body: Any) -> Source:
    return Source(protocol=protocol, body=body)


AUDIO = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
SVG = {"type": "image_url", "image_url": {"url": "data:image/svg+xml;utf8,<svg/>"}}
KEPT_IMAGE = {"type": "input_image", "file_id": "f"}
SERVER_TOOL = [function("f"), {"type": "web_search_20250305", "name": "web_search"}]


@pytest.mark.parametrize(
    ("make", "asked", "field"),
    [
        (messages, part(AUDIO), "messages[1].content[0]"),
        (responses, part(AUDIO), "messages[1].content[0]"),
        (messages, part(SVG), "messages[1].content[0]"),
        (messages, part({"type": "file", "file": {"file_id": "f"}}), "messages[1].content[0]"),
        (messages, part({"type": "image_url", "image_url": {}}), "messages[1].content[0]"),
        (responses, part({"type": "image_url", "image_url": "x"}), "messages[1].content[0]"),
        (responses, request(Message(role="user", content=[AUDIO])), "messages"),
        (responses, request(Message(role="user", content=[AUDIO]), source=source("messages")), "messages"),
        (messages, request(Message(role="user", content=[AUDIO]), source=source("responses")), "input"),
        (messages, request(Message(role="assistant", tool_calls=[CUSTOM_CALL]), source=source("responses")), "input"),
        (messages, request(Message(role="assistant", tool_calls=[{"function": "f"}])), "messages"),
        (responses, request(Message(role="assistant", tool_calls=[{"id": "x"}])), "messages"),
        (messages, request(response_format={"type": "json_object"}, source=source("chat")), "response_format"),
        (messages, request(response_format={"type": "json_object"}, source=source("responses")), "text.format"),
        (messages, request(tools=[{"type": "custom", "custom": {"name": "x"}}]), "tools[0].type"),
        (messages, request(tools=[function("f")], tool_choice={"type": "mcp"}), "tool_choice"),
        (responses, request(stop=["x"], source=source("chat")), "stop"),
        (responses, request(stop=["x"], source=source("messages")), "stop_sequences"),
        (messages, request(source=source("chat", n=2)), "n"),
        (messages, request(source=source("chat", logprobs=True)), "logprobs"),
        (responses, request(source=source("chat", modalities=["text", "audio"])), "modalities"),
        (responses, request(extra={"functions": [{}]}), "functions"),
        (
            messages,
            request(read_message({"role": "assistant", "function_call": {"name": "f"}}, ""), source=source("chat")),
            "messages[0].function_call",
        ),
        (chat, request(source=source("messages", mcp_servers=[{}])), "mcp_servers"),
        (responses, request(source=source("messages", container="c")), "container"),
        (chat, request(tools=SERVER_TOOL, source=source("messages")), "tools[1].type"),
        (responses, request(tools=SERVER_TOOL, source=source("messages")), "tools[1].type"),
        (messages, request(tools=[{"type": "mcp"}], source=source("responses")), "tools[0].type"),
        (chat, request(Message(role="user", content=[KEPT_IMAGE]), source=source("responses")), "input"),
        (messages, request(Message(role="user", content=[KEPT_IMAGE]), source=source("responses")), "input"),
    ],
)
def test_invalid_request_names_the_callers_field_when_a_protocol_cannot_express_it(
    make: Payload, asked: ChatRequest, field: str
) -> None:
    with pytest.raises(InvalidRequest) as failure:
        make(asked)
    assert failure.value.detail.param == field
    assert failure.value.message.startswith(f"{field}: ")
    assert not failure.value.sent


@pytest.mark.parametrize("make", [messages, responses])
def test_neutral_values_ask_for_nothing(make: Payload) -> None:
    neutral = {
        "n": 1,
        "logprobs": False,
        "top_logprobs": None,
        "logit_bias": {},
        "modalities": ["text"],
        "functions": [],
        "function_call": "none",
        "seed": 7,
        "metadata": {"a": "b"},
    }
    body = make(request(source=source("chat", **neutral), extra={"seed": 7, "metadata": {"a": "b"}}))
    assert not body.keys() & neutral.keys()


@pytest.mark.parametrize("table", [{"kind": "anthropic"}, {"kind": "openai", "api": "responses"}])
async def test_nothing_is_sent_when_the_protocol_cannot_express_the_request(
    start_upstream: StartUpstream, transport: Transport, table: dict[str, str]
) -> None:
    upstream = await start_upstream(answer("ok"))
    with pytest.raises(InvalidRequest):
        await ask(build({**table, "model": "m", "base_url": upstream.url}, transport), part(AUDIO))
    assert not upstream.exchanges
