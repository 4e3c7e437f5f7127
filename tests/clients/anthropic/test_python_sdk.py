"""Messages through the front door, with Anthropic's SDK: answers of providers of each protocol, tools in two rounds."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from tests.conftest import StartUpstream
from tests.messages.conftest import ClientOf
from tests.messages.upstreams import ARGUMENTS, SCRIPTS, TABLES, TOOLS, provider_at
from tests.support.upstream import Upstream

HELLO: list[Any] = [{"role": "user", "content": "hello big world"}]


async def ask(client: anthropic.AsyncAnthropic, messages: list[Any], *, streamed: bool, **fields: Any) -> Any:
    """Return the message that answers, put together by the SDK if it is ``streamed``."""
    asked: dict[str, Any] = {"model": "up", "max_tokens": 100, "messages": messages, **fields}
    if not streamed:
        return await client.messages.create(**asked)
    async with client.messages.stream(**asked) as stream:
        return await stream.get_final_message()


@pytest.mark.parametrize("streamed", [True, False])
async def test_echo_answers_the_sdk_in_its_types(client_of: ClientOf, streamed: bool) -> None:
    message = await ask(await client_of(), HELLO, streamed=streamed, model="echo")
    assert [block.text for block in message.content] == ["hello big world"]
    assert (message.stop_reason, message.model, message.role) == ("end_turn", "echo", "assistant")
    assert message.usage.output_tokens == 3 and message.usage.input_tokens > 0
    assert message._request_id if not streamed else message.id.startswith("msg_")


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("protocol", TABLES)
async def test_tools_are_called_in_two_rounds(
    client_of: ClientOf, start_upstream: StartUpstream, protocol: str, streamed: bool
) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS[protocol])
    client = await client_of(provider_at(protocol, upstream.url))
    answer = await ask(client, HELLO, streamed=streamed, tools=TOOLS, tool_choice={"type": "auto"})
    thinking, text, weather, clock = answer.content
    assert (thinking.thinking, text.text) == ("Hm.", "Let me look.")
    assert [(call.id, call.name, call.input) for call in (weather, clock)] == [
        ("call_w", "weather", {"city": "Oslo"}), ("call_c", "clock", {"city": "Oslo"}),
    ]  # fmt: skip
    assert answer.stop_reason == "tool_use"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens, answer.usage.output_tokens) == (15, 5, 9)
    history = [
        *HELLO,
        {"role": "assistant", "content": [block.to_dict() for block in answer.content]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_w", "content": [{"type": "text", "text": "rain"}]},
            {"type": "tool_result", "tool_use_id": "call_c", "content": "broken", "is_error": True},
            {"type": "text", "text": "Well?"},
        ]},
    ]  # fmt: skip
    await ask(client, history, streamed=streamed, tools=TOOLS)
    _check_second_round(protocol, upstream.exchanges[1].json(), history)


def _check_second_round(protocol: str, body: dict[str, Any], history: list[Any]) -> None:
    match protocol:
        case "messages":
            assert body["messages"] == history, "the caller's own body, with the signature of its thinking"
        case "chat":
            _, assistant, rain, broken, user = body["messages"]
            assert (assistant["content"], assistant["reasoning_content"]) == ("Let me look.", "Hm.")
            assert [json.loads(call["function"]["arguments"]) for call in assistant["tool_calls"]] == [
                json.loads(ARGUMENTS)
            ] * 2
            assert rain == {"role": "tool", "tool_call_id": "call_w", "content": "rain"}
            assert broken == {"role": "tool", "tool_call_id": "call_c", "content": "Error: broken"}
            assert user == {"role": "user", "content": "Well?"}
        case "responses":
            kinds = [item.get("type", item.get("role")) for item in body["input"]]
            assert kinds == [
                "user", "reasoning", "assistant", "function_call", "function_call",
                "function_call_output", "function_call_output", "user",
            ]  # fmt: skip
            assert body["input"][1]["encrypted_content"] == "gAAA", "unsealed, for the model that made it"


async def test_body_reaches_anthropic_as_it_came(client_of: ClientOf, start_upstream: StartUpstream) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS["messages"])
    client = await client_of(provider_at("messages", upstream.url))
    body = {
        "model": "up",
        "max_tokens": 50,
        "system": [{"type": "text", "text": "x-anthropic-billing-header: cch=1"}],
        "messages": [
            {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "EqQB"}]},
            {"role": "assistant", "content": "Pre"},
        ],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "top_k": 4,
        "thinking": {"type": "adaptive"},
        "mcp_servers": [{"type": "url"}],
        "of_next_year": {"a": [None]},
    }
    headers = {"anthropic-beta": "one,two", "X-Stainless-Lang": "x"}
    await client.post("/v1/messages?beta=true", body=body, cast_to=object, options={"headers": headers})
    (exchange,) = upstream.exchanges
    assert exchange.json() == {**body, "model": "claude-x", "stream": True}
    assert exchange.path == "/v1/messages" and exchange.headers["anthropic-beta"] == "one,two"


async def test_null_in_every_optional_field_asks_for_nothing(
    client_of: ClientOf, start_upstream: StartUpstream
) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS["chat"])
    client = await client_of(provider_at("chat", upstream.url))
    names = (
        "system", "stream", "stop_sequences", "temperature", "top_p", "top_k", "tool_choice", "thinking",
        "output_config", "metadata", "service_tier", "container", "mcp_servers", "cache_control",
    )  # fmt: skip
    body: dict[str, Any] = {"model": "up", "max_tokens": 9, "messages": HELLO, "tools": []} | dict.fromkeys(names)
    await client.post("/v1/messages", body=body, cast_to=object)
    sent = upstream.exchanges[0].json()
    assert sent.keys() == {"model", "messages", "stream", "stream_options", "max_tokens"}


async def test_parameters_reach_another_vendor_by_its_names(client_of: ClientOf, start_upstream: StartUpstream) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS["chat"])
    client = await client_of(provider_at("chat", upstream.url))
    schema = {"type": "object", "properties": {}}
    await ask(
        client,
        [*HELLO, {"role": "assistant", "content": "Pre"}],
        streamed=False,
        system="Be kind.",
        extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 3},
        stop_sequences=["END"],
        tools=TOOLS[:1],
        tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": schema}},
        metadata={"user_id": "u"},
    )
    sent = upstream.exchanges[0].json()
    expected = {
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "max_tokens": 100,
        "user": "u",
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "response", "schema": schema, "strict": True},
        },
    }
    assert {name: sent.get(name) for name in expected} == expected and "top_k" not in sent
    assert [turn["role"] for turn in sent["messages"]] == ["system", "user", "assistant"]


@pytest.mark.parametrize(("thinking", "effort"), [
    ({"type": "disabled"}, "none"),
    ({"type": "adaptive"}, None),
    ({"type": "enabled", "budget_tokens": 3_999}, "low"),
    ({"type": "enabled", "budget_tokens": 15_999}, "medium"),
    ({"type": "enabled", "budget_tokens": 16_000}, "high"),
])  # fmt: skip
async def test_budget_for_thinking_becomes_an_effort(
    client_of: ClientOf, start_upstream: StartUpstream, thinking: dict[str, Any], effort: str | None
) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS["chat"])
    client = await client_of(provider_at("chat", upstream.url))
    await ask(client, HELLO, streamed=True, thinking=thinking)
    assert upstream.exchanges[0].json().get("reasoning_effort") == effort
