"""Anthropic's Messages API: what goes there, and what comes back."""

from __future__ import annotations

import json
import os
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam

from providers.base import Event, Finish, Message, Reasoning, Text, ToolCall, Usage, UsageDetails
from providers.errors import InvalidRequest, Overloaded, ProviderError, RateLimited, UpstreamDisconnected, UpstreamError
from providers.transport import Transport
from tests.conftest import StartUpstream
from tests.providers.asking import ask, build, reasoning_in, request, text_in
from tests.providers.test_openai_requests import headers_of
from tests.support.upstream import Exchange, Script

TABLE = {"kind": "anthropic", "model": "claude", "api_key_env": "KEY"}
KEY = "sk-ant-from-config"

PING = {"type": "ping"}
STOP = {"type": "message_stop"}


def started(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"model": "claude-1", "usage": usage, "content": []}}


def block(index: int, **content: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": content}


def delta(index: int, **content: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": content}


def ended(reason: str | None = "end_turn", **usage: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage or None}


def says(*events: dict[str, Any]) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        for event in events:
            await exchange.send(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n")

    return script


WHOLE = (started(input_tokens=7, output_tokens=1), delta(0, type="text_delta", text="ok"), ended(output_tokens=2), STOP)


async def answer(upstream: Any, transport: Transport, *events: dict[str, Any]) -> list[Event]:
    """Return what the provider makes of ``events``."""
    upstream.script = says(*events)
    return await ask(build({**TABLE, "base_url": upstream.url}, transport, key=KEY))


async def sent(upstream: Any, transport: Transport, asked: Any, **options: Any) -> dict[str, Any]:
    """Return the body that is sent for ``asked``."""
    await ask(build({**TABLE, "base_url": upstream.url, **options}, transport, key=KEY), asked)
    body: dict[str, Any] = upstream.exchanges[-1].json()
    return body


async def test_address_and_headers_are_those_of_anthropics_sdk(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    upstream = await start_upstream(says(*WHOLE))
    await ask(build({**TABLE, "base_url": upstream.url}, transport, key=KEY))
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=upstream.url, max_retries=0) as client:
        messages: list[MessageParam] = [{"role": "user", "content": "hello"}]
        await (await client.messages.create(model="m", max_tokens=1, messages=messages, stream=True)).close()
    ours, theirs = upstream.exchanges
    assert ours.head.split("\r\n")[0] == theirs.head.split("\r\n")[0] == "POST /v1/messages HTTP/1.1"
    assert headers_of(ours) == headers_of(theirs)
    assert KEY in headers_of(ours)["authorization"]


async def test_environment_of_the_sdk_does_not_reach_the_provider(
    start_upstream: StartUpstream, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("API_KEY", "AUTH_TOKEN", "PROFILE", "WEBHOOK_SIGNING_KEY")
    pollution = {f"ANTHROPIC_{name}": "from-environment" for name in names}
    pollution |= {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_CUSTOM_HEADERS": "X-Leak: from-environment"}
    for name, value in pollution.items():
        monkeypatch.setenv(name, value)
    upstream = await start_upstream(says(*WHOLE))
    await ask(build({"kind": "anthropic", "model": "claude", "base_url": upstream.url}, transport))
    head = upstream.exchanges[0].head.lower()
    assert "from-environment" not in head
    assert "authorization:" not in head
    assert "x-api-key:" not in head
    assert {name: os.environ[name] for name in pollution} == pollution


CALL = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}}}


async def test_messages_sends_a_conversation_in_its_own_form(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    upstream = await start_upstream(says(*WHOLE))
    data_url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    web_url = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    asked = request(
        Message(role="system", content="be brief"),
        Message(role="developer", content="be kind"),
        Message(role="user", content=[{"type": "text", "text": "what?"}, data_url, web_url]),
        Message(role="assistant", content="I look", tool_calls=[CALL, {**CALL, "id": "toolu_2"}]),
        Message(role="tool", tool_call_id="toolu_1", content="rain"),
        Message(role="tool", tool_call_id="toolu_2", content="sun"),
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        temperature=1.5,
        stop=["END"],
        top_p=0.5,
        extra={"stream_options": {}, "seed": 1},
    )
    messages: list[MessageParam] = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look"},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Ulm"}},
                {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"city": "Ulm"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "sun"},
            ],
        },
    ]
    tools: list[ToolParam] = [{"name": "weather", "description": "d", "input_schema": {"type": "object"}}]
    assert await sent(upstream, transport, asked) == {
        "model": "m",
        "max_tokens": 100,
        "stream": True,
        "system": "be brief\n\nbe kind",
        "messages": messages,
        "tools": tools,
        "tool_choice": {"type": "tool", "name": "weather"},
        "temperature": 1.0,
        "stop_sequences": ["END"],
        "top_p": 0.5,
    }


@pytest.mark.parametrize(
    ("choice", "translated"), [("auto", {"type": "auto"}), ("none", {"type": "none"}), ("required", {"type": "any"})]
)
async def test_messages_translates_words_for_the_choice_of_tools(
    start_upstream: StartUpstream, transport: Transport, choice: str, translated: dict[str, str]
) -> None:
    upstream = await start_upstream(says(*WHOLE))
    body = await sent(upstream, transport, request(tools=[TOOL], tool_choice=choice))
    assert body["tool_choice"] == translated


@pytest.mark.parametrize(
    "message",
    [
        Message(role="user", content=[{"type": "input_audio", "input_audio": {}}]),
        Message(role="assistant", tool_calls=[{"id": "x", "function": {"name": "f", "arguments": "[1]"}}]),
        Message(role="assistant", tool_calls=[{"id": "x", "function": {"name": "f", "arguments": "{"}}]),
    ],
)
async def test_messages_sends_nothing_when_it_cannot_express_the_request(
    start_upstream: StartUpstream, transport: Transport, message: Message
) -> None:
    upstream = await start_upstream(says(*WHOLE))
    with pytest.raises(InvalidRequest) as failure:
        await sent(upstream, transport, request(message))
    assert not failure.value.sent
    assert not upstream.exchanges


async def test_messages_adds_the_budget_for_thinking_and_sends_no_temperature_with_it(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    upstream = await start_upstream(says(*WHOLE))
    thinking = {"type": "enabled", "budget_tokens": 2000}
    extra = {"thinking": thinking, "temperature": 0.1, "metadata": {"user_id": "u"}, "model": "sly", "max_tokens": 1}
    body = await sent(upstream, transport, request(temperature=0.7), extra=extra)
    assert (body["thinking"], body["max_tokens"], body["metadata"]) == (thinking, 2100, {"user_id": "u"})
    assert body["model"] == "m"
    assert "temperature" not in body
    body = await sent(upstream, transport, request(temperature=0.7), extra={"thinking": {"type": "adaptive"}})
    assert (body["max_tokens"], "temperature" in body) == (100, False)
    body = await sent(upstream, transport, request(temperature=0.7), extra={"thinking": {"type": "disabled"}})
    assert (body["max_tokens"], body["temperature"]) == (100, 0.7)
    results = (Message(role="assistant", tool_calls=[CALL]), Message(role="tool", tool_call_id="toolu_1", content="x"))
    body = await sent(upstream, transport, request(*results, temperature=0.7), extra={"thinking": thinking})
    assert ("thinking" in body, body["max_tokens"], body["temperature"]) == (False, 100, 0.7)


async def test_messages_reads_thinking_as_reasoning_and_skips_pings_and_unknown_events(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    upstream = await start_upstream(says())
    events = await answer(
        upstream,
        transport,
        started(input_tokens=7, output_tokens=1),
        block(0, type="thinking", thinking="", signature=""),
        PING,
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="c2ln"),
        {"type": "content_block_stop", "index": 0},
        block(1, type="redacted_thinking", data="opaque"),
        block(2, type="text", text=""),
        delta(2, type="text_delta", text="Hello"),
        delta(2, type="citations_delta", citation={"cited_text": "no"}),
        {"type": "an_event_of_next_year", "delta": {"text": "no"}},
        ended(output_tokens=9),
        STOP,
    )
    assert (reasoning_in(events), text_in(events)) == ("hm", "Hello")
    assert events[-1] == Finish("stop", "claude-1", "end_turn")
    assert [event for event in events if isinstance(event, (Text, Reasoning))] == [Reasoning("hm"), Text("Hello")]


async def test_messages_numbers_tool_calls_from_zero_and_always_gives_arguments(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    upstream = await start_upstream(says())
    events = await answer(
        upstream,
        transport,
        started(),
        block(0, type="text", text="I look"),
        block(1, type="tool_use", id="a", name="f", input={}),
        delta(1, type="input_json_delta", partial_json=""),
        delta(1, type="input_json_delta", partial_json='{"x": '),
        delta(1, type="input_json_delta", partial_json="1}"),
        {"type": "content_block_stop", "index": 1},
        block(2, type="server_tool_use", id="s", name="web_search", input={}),
        delta(2, type="input_json_delta", partial_json='{"query": "no"}'),
        {"type": "content_block_stop", "index": 2},
        block(3, type="tool_use", id="b", name="g", input={}),
        delta(3, type="input_json_delta", partial_json=""),
        {"type": "content_block_stop", "index": 3},
        ended("tool_use"),
        STOP,
    )
    assert [event for event in events if isinstance(event, ToolCall)] == [
        ToolCall(0, "a", "f", ""),
        ToolCall(0, None, None, '{"x": '),
        ToolCall(0, None, None, "1}"),
        ToolCall(1, "b", "g", ""),
        ToolCall(1, None, None, "{}"),
    ]
    assert events[-1] == Finish("tool_calls", "claude-1", "tool_use")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        ("model_context_window_exceeded", "length"),
    ],
)
async def test_messages_translates_stop_reasons(
    start_upstream: StartUpstream, transport: Transport, reason: str, finish: str
) -> None:
    upstream = await start_upstream(says())
    text = delta(0, type="text_delta", text="ok")
    events = await answer(upstream, transport, started(), text, ended(reason), STOP)
    assert events[-1] == Finish(finish, "claude-1", reason)


async def test_messages_counts_cached_input_and_keeps_counts_that_are_not_repeated(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    upstream = await start_upstream(says())
    first = started(input_tokens=10, cache_creation_input_tokens=200, cache_read_input_tokens=3000, output_tokens=1)
    events = await answer(upstream, transport, first, ended(input_tokens=10, output_tokens=20), STOP)
    details = UsageDetails(cached_tokens=3000, cache_write_tokens=200)
    assert [event for event in events if isinstance(event, Usage)] == [
        Usage(3210, 1, details),
        Usage(3210, 20, details),
    ]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"type": "overloaded_error", "message": "x"}, Overloaded),
        ({"type": "rate_limit_error", "message": "x"}, RateLimited),
        ({"type": "api_error", "message": "x"}, UpstreamError),
        ({"type": "an_error_of_next_year", "message": "x"}, UpstreamError),
    ],
)
async def test_messages_raises_the_error_that_the_type_stands_for(
    start_upstream: StartUpstream, transport: Transport, said: dict[str, str], kind: type[ProviderError]
) -> None:
    upstream = await start_upstream(says())
    with pytest.raises(ProviderError) as failure:
        await answer(upstream, transport, started(), {"type": "error", "error": said, "request_id": "req_1"})
    assert type(failure.value) is kind
    assert failure.value.detail.type == said["type"]
    assert failure.value.detail.request_id == "req_1"


@pytest.mark.parametrize("events", [(ended(),), (ended(None), STOP), (STOP,), ()])
async def test_messages_is_disconnected_without_a_stop_reason_or_message_stop(
    start_upstream: StartUpstream, transport: Transport, events: tuple[dict[str, Any], ...]
) -> None:
    upstream = await start_upstream(says())
    with pytest.raises(UpstreamDisconnected):
        await answer(upstream, transport, started(), delta(0, type="text_delta", text="half"), *events)
