"""What goes to a server that speaks OpenAI's API: addresses, headers and bodies, held against the SDK's own."""

from __future__ import annotations

import os
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseInputItemParam, ToolParam

from providers.base import ChatRequest, Message
from providers.transport import Transport
from tests.conftest import StartUpstream
from tests.providers.asking import ask, build, request
from tests.support.upstream import Exchange, answer

KEY = "sk-from-config"
AZURE = {"kind": "azure", "model": "our gpt/4o", "api_key_env": "KEY"}
OPENAI = {"kind": "openai", "model": "gpt-4o", "api_key_env": "KEY"}
CREDENTIALS = ("authorization", "api-key", "openai-organization", "openai-project")

CHOSEN = (
    *("accept", "accept-encoding", "connection", "content-length", "host"),
    *("x-stainless-retry-count", "x-stainless-read-timeout", "x-stainless-timeout"),
)

POLLUTION = {
    "OPENAI_API_KEY": "sk-from-environment",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_ORG_ID": "org-environment",
    "OPENAI_PROJECT_ID": "proj-environment",
    "OPENAI_API_VERSION": "1999-01-01",
    "OPENAI_CUSTOM_HEADERS": "X-Leak: environment",
    "OPENAI_ADMIN_KEY": "sk-admin-environment",
    "AZURE_OPENAI_API_KEY": "azure-environment",
    "AZURE_OPENAI_AD_TOKEN": "token-environment",
    "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9",
}


async def respond(exchange: Exchange) -> None:
    """Send a whole answer of the API that was asked, whatever the request is."""
    if exchange.path.partition("?")[0].endswith("/responses"):
        await exchange.start_stream()
        await exchange.send('data: {"type": "response.completed", "response": {"model": "m"}}\n\n')
    else:
        await answer("ok")(exchange)


async def sent_by(
    table: dict[str, Any], upstream: Any, transport: Transport, asked: ChatRequest | None = None
) -> Exchange:
    """Return the request that the provider of ``table`` makes to ``upstream``."""
    number = len(upstream.exchanges)
    await ask(build(table, transport, key=KEY), asked)
    exchange: Exchange = upstream.exchanges[number]
    return exchange


def headers_of(exchange: Exchange) -> dict[str, str]:
    """Return the headers that are not the transport's, and that the SDK does not choose for each request."""
    return {name: value for name, value in exchange.headers.items() if name not in CHOSEN}


def credentials_of(exchange: Exchange) -> dict[str, str]:
    return {name: exchange.headers[name] for name in CREDENTIALS if name in exchange.headers}


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_address_and_headers_are_those_of_openais_sdk(
    start_upstream: StartUpstream, transport: Transport, api: str
) -> None:
    upstream = await start_upstream(respond)
    table = {**OPENAI, "api": api, "base_url": f"{upstream.url}/v1", "organization": "org-1", "project": "proj-1"}
    ours = await sent_by(table, upstream, transport, request(model="gpt-4o"))
    client = openai.AsyncOpenAI(
        api_key=KEY, base_url=f"{upstream.url}/v1", organization="org-1", project="proj-1", max_retries=0
    )
    theirs = await sent_by_sdk(client, api, "gpt-4o", upstream)
    assert ours.head.split("\r\n")[0] == theirs.head.split("\r\n")[0]
    assert headers_of(ours) == headers_of(theirs)
    assert credentials_of(ours).keys() == {"authorization", "openai-organization", "openai-project"}


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_azure_address_and_headers_are_those_of_the_sdk(
    start_upstream: StartUpstream, transport: Transport, api: str
) -> None:
    upstream = await start_upstream(respond)
    table = {**AZURE, "api": api, "base_url": upstream.url, "api_version": "2024-10-21"}
    ours = await sent_by(table, upstream, transport, request(model="our gpt/4o"))
    client = openai.AsyncAzureOpenAI(api_key=KEY, azure_endpoint=upstream.url, api_version="2024-10-21", max_retries=0)
    theirs = await sent_by_sdk(client, api, "our gpt/4o", upstream)
    assert ours.head.split("\r\n")[0] == theirs.head.split("\r\n")[0]
    assert headers_of(ours) == headers_of(theirs)
    assert credentials_of(ours) == {"api-key": KEY}


async def sent_by_sdk(client: openai.AsyncOpenAI, api: str, model: str, upstream: Any) -> Exchange:
    """Return the same question, asked by the SDK itself."""
    number = len(upstream.exchanges)
    async with client:
        if api == "chat":
            chat = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "hello"}], stream=True
            )
            await chat.close()
        else:
            response = await client.responses.create(model=model, input="hello", stream=True)
            await response.close()
    exchange: Exchange = upstream.exchanges[number]
    return exchange


@pytest.mark.parametrize(("api", "path"), [("chat", "chat/completions"), ("responses", "responses")])
async def test_azure_uses_its_v1_api_when_there_is_no_version(
    start_upstream: StartUpstream, transport: Transport, api: str, path: str
) -> None:
    upstream = await start_upstream(respond)
    sent = await sent_by(
        {**AZURE, "api": api, "base_url": f"{upstream.url}/"}, upstream, transport, request(model="dep")
    )
    assert sent.path == f"/openai/v1/{path}"
    assert sent.json()["model"] == "dep"
    assert credentials_of(sent) == {"api-key": KEY}


@pytest.mark.parametrize(
    "table", [OPENAI, AZURE, {**AZURE, "api_version": "2024-10-21"}], ids=["openai", "v1", "version"]
)
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_environment_of_the_sdks_reaches_no_provider(
    start_upstream: StartUpstream,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    table: dict[str, Any],
    api: str,
) -> None:
    for name, value in POLLUTION.items():
        monkeypatch.setenv(name, value)
    upstream = await start_upstream(respond)
    keyless = {name: value for name, value in table.items() if name != "api_key_env"}
    for each, credentials in ((table, 1), (keyless, 0)):
        sent = await sent_by({**each, "api": api, "base_url": upstream.url}, upstream, transport)
        assert "environment" not in sent.head
        assert "1999-01-01" not in sent.head
        assert len(credentials_of(sent)) == credentials
    assert {name: os.environ[name] for name in POLLUTION} == POLLUTION


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("gpt-4o-mini", "max_tokens"),
        ("gpt-oss-120b", "max_tokens"),
        ("llama3.1", "max_tokens"),
        ("openai/gpt-4.1", "max_tokens"),
        ("o3-mini", "max_completion_tokens"),
        ("gpt-5", "max_completion_tokens"),
        ("gpt-12-nano", "max_completion_tokens"),
        ("openai/gpt-5.2", "max_completion_tokens"),
        ("ft:o4-mini:org::id", "max_completion_tokens"),
    ],
)
async def test_chat_sends_max_completion_tokens_to_reasoning_models(
    start_upstream: StartUpstream, transport: Transport, model: str, field: str
) -> None:
    upstream = await start_upstream(respond)
    table = {**OPENAI, "base_url": upstream.url, "extra": {"max_tokens": 1, "max_completion_tokens": 1}}
    body = (await sent_by(table, upstream, transport, request(model=model, max_tokens=77))).json()
    assert {name: body[name] for name in body if name.startswith("max_")} == {field: 77}
    for wanted in ("max_tokens", "max_completion_tokens"):
        body = (await sent_by({**table, "max_tokens_field": wanted}, upstream, transport, request(model=model))).json()
        assert [name for name in body if name.startswith("max_")] == [wanted]


async def test_chat_prefers_the_requests_parameters_to_configured_ones(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    upstream = await start_upstream(respond)
    extra = {
        "top_p": 0.5,
        "reasoning_effort": "low",
        "model": "sly",
        "stream": False,
        "messages": [],
        "temperature": 0.1,
    }
    table = {**OPENAI, "base_url": upstream.url, "extra": extra}
    asked = request(temperature=0.7, reasoning_effort="high", extra={"seed": 3, "stream_options": {"x": 1}})
    assert (await sent_by(table, upstream, transport, asked)).json() == {
        "top_p": 0.5,
        "reasoning_effort": "high",
        "seed": 3,
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 100,
        "temperature": 0.7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert (await sent_by(table, upstream, transport)).json()["temperature"] == 0.1


async def test_chat_sends_no_stream_options_when_they_are_off(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    upstream = await start_upstream(respond)
    table = {**OPENAI, "base_url": upstream.url, "stream_options": False}
    sent = await sent_by(table, upstream, transport, request(extra={"stream_options": {"include_usage": True}}))
    assert "stream_options" not in sent.json()


CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
CONVERSATION = (
    Message(role="system", content="be brief"),
    Message(role="user", content=[{"type": "text", "text": "what is it?"}, IMAGE]),
    Message(role="assistant", content="I look", tool_calls=[CALL]),
    Message(role="tool", tool_call_id="call_1", content="rain"),
    Message(role="assistant", content=[{"type": "text", "text": "It "}, {"type": "text", "text": "rains"}]),
    Message(role="user", content="and now?"),
)


async def test_chat_sends_images_and_tools_as_they_are(start_upstream: StartUpstream, transport: Transport) -> None:
    upstream = await start_upstream(respond)
    asked = request(*CONVERSATION, tools=[TOOL], tool_choice="required")
    body = (await sent_by({**OPENAI, "base_url": upstream.url}, upstream, transport, asked)).json()
    assert body["tools"] == [TOOL]
    assert body["tool_choice"] == "required"
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "what is it?"}, IMAGE]},
        {"role": "assistant", "content": "I look", "tool_calls": [CALL]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
        {"role": "assistant", "content": [{"type": "text", "text": "It "}, {"type": "text", "text": "rains"}]},
        {"role": "user", "content": "and now?"},
    ]


async def test_responses_sends_a_conversation_in_its_own_form(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    upstream = await start_upstream(respond)
    asked = request(
        *CONVERSATION,
        tools=[TOOL, {"type": "web_search"}],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    # The SDK's types, so that mypy holds the expected form against them.
    expected: list[ResponseInputItemParam] = [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "what is it?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
            ],
        },
        {"role": "assistant", "content": "I look"},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Ulm"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"role": "assistant", "content": "It rains"},
        {"role": "user", "content": "and now?"},
    ]
    tools: list[ToolParam] = [
        {"type": "function", "name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": False},
        {"type": "web_search"},
    ]
    body = (await sent_by({**OPENAI, "api": "responses", "base_url": upstream.url}, upstream, transport, asked)).json()
    assert body == {
        "model": "m",
        "input": expected,
        "tools": tools,
        "tool_choice": {"type": "function", "name": "weather"},
        "max_output_tokens": 100,
        "stream": True,
        "store": False,
    }


@pytest.mark.parametrize("extra", [{}, {"store": True}])
async def test_responses_are_stored_only_when_configured(
    start_upstream: StartUpstream, transport: Transport, extra: dict[str, Any]
) -> None:
    upstream = await start_upstream(respond)
    table = {**OPENAI, "api": "responses", "base_url": upstream.url, "extra": {**extra, "stream": False}}
    body = (await sent_by(table, upstream, transport, request(extra={"store": True}))).json()
    assert (body["store"], body["stream"]) == (bool(extra), True)
