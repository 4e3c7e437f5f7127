"""A provider that speaks the caller's protocol is sent the caller's body, and little else."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import ChatRequest, Message, Source
from providers.transport import Transport
from tests.conftest import StartUpstream
from tests.providers.asking import ask, build, request
from tests.support.upstream import Exchange, answer

CHAT = {"kind": "openai", "model": "m"}
RESPONSES = {"kind": "openai", "model": "m", "api": "responses"}
MESSAGES = {"kind": "anthropic", "model": "m"}


async def respond(exchange: Exchange) -> None:
    await exchange.start_stream()
    match exchange.path.rsplit("/", 1)[1]:
        case "responses":
            await exchange.send('data: {"type": "response.completed", "response": {"model": "m"}}\n\n')
        case "messages":
            await exchange.send('data: {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}\n\n')
            await exchange.send('data: {"type": "message_stop"}\n\n')
        case _:
            await answer("ok")(exchange)


def came(protocol: Any, body: dict[str, Any], headers: dict[str, str] | None = None, **fields: Any) -> ChatRequest:
    """Return a request with other fields than its body has: none of them counts."""
    source = Source(protocol=protocol, body=body, headers=headers or {})
    other = Message(role="user", content="not this")
    return request(other, max_tokens=77, source=source, temperature=0.123, extra={"seed": 123}, **fields)


async def sent(
    start_upstream: StartUpstream, transport: Transport, table: dict[str, Any], asked: ChatRequest
) -> Exchange:
    upstream = await start_upstream(respond)
    await ask(build({**table, "base_url": upstream.url}, transport), asked)
    exchange: Exchange = upstream.exchanges[0]
    return exchange


async def test_chat_body_is_sent_as_it_came(start_upstream: StartUpstream, transport: Transport) -> None:
    body: dict[str, Any] = {
        "model": "named-by-the-caller",
        "messages": [{"role": "function", "content": None, "odd": [{}]}],
        "temperature": None,
        "n": 2,
        "tools": [],
        "stream": False,
        "of_next_year": {"a": [None]},
    }
    lengths = {"max_tokens": None, "max_completion_tokens": 5, "stream_options": {"include_obfuscation": True}}
    table = {**CHAT, "extra": {"seed": 1, "n": 9}}
    exchange = await sent(start_upstream, transport, table, came("chat", {**body, **lengths}))
    changed = {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 77}
    assert exchange.json() == {**body, "seed": 1, **changed}


async def test_chat_body_has_its_limit_where_the_provider_wants_it(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    table = {**CHAT, "max_tokens_field": "max_completion_tokens", "stream_options": False}
    asked = came("chat", {"messages": [], "max_tokens": 5, "stream_options": {"include_usage": True}})
    exchange = await sent(start_upstream, transport, table, asked)
    assert exchange.json() == {"model": "m", "messages": [], "stream": True, "max_completion_tokens": 77}


@pytest.mark.parametrize(("extra", "store"), [({}, False), ({"store": True}, True)])
async def test_responses_body_is_sent_as_it_came_and_not_stored_unless_configured(
    start_upstream: StartUpstream, transport: Transport, extra: dict[str, Any], store: bool
) -> None:
    body = {
        "input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"}, {"type": "odd"}],
        "tools": [{"type": "web_search"}],
        "include": ["reasoning.encrypted_content"],
        "metadata": None,
    }
    set_here = {"model": "x", "max_output_tokens": 5, "stream": None, "background": True, "store": True}
    exchange = await sent(
        start_upstream, transport, {**RESPONSES, "extra": extra}, came("responses", {**body, **set_here})
    )
    assert exchange.json() == {**body, "model": "m", "max_output_tokens": 77, "stream": True, "store": store}


async def test_messages_body_and_beta_header_are_sent_as_they_came(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    body = {
        "system": [{"type": "text", "text": "x-anthropic-billing-header: 1", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "", "signature": "s"}]}],
        "thinking": {"type": "enabled", "budget_tokens": 50},
        "mcp_servers": [{"url": "https://example.org"}],
        "container": "c",
    }
    headers = {"anthropic-beta": "a-1,b-2", "anthropic-version": "1999-01-01", "x-other": "leak"}
    asked = came("messages", {**body, "model": "x", "max_tokens": 5}, headers)
    exchange = await sent(start_upstream, transport, MESSAGES, asked)
    assert exchange.json() == {**body, "model": "m", "max_tokens": 77, "stream": True}
    assert exchange.headers["anthropic-beta"] == "a-1,b-2"
    assert "1999-01-01" not in exchange.head and "leak" not in exchange.head


@pytest.mark.parametrize("protocol", ["messages", "chat"])
async def test_beta_header_is_sent_only_with_a_body_of_its_protocol(
    start_upstream: StartUpstream, transport: Transport, protocol: str
) -> None:
    asked = came(protocol, {"messages": []}, {"anthropic-beta": "a-1"})
    exchange = await sent(start_upstream, transport, MESSAGES, asked)
    assert ("anthropic-beta" in exchange.headers) is (protocol == "messages")


@pytest.mark.parametrize(
    ("asked", "extra", "old"),
    [
        (request(), {}, False),
        (request(temperature=1.0), {}, True),
        (request(top_p=0.5), {}, True),
        (request(), {"top_k": 5}, True),
        (request(temperature=1.0), {"thinking": {"type": "adaptive"}}, False),
        (request(source=Source(protocol="messages", body={"messages": [], "temperature": 0})), {}, True),
        (request(source=Source(protocol="messages", body={"messages": [], "temperature": None})), {}, False),
    ],
)
async def test_messages_version_accepts_sampling_when_the_body_has_it(
    start_upstream: StartUpstream, transport: Transport, asked: ChatRequest, extra: dict[str, Any], old: bool
) -> None:
    exchange = await sent(start_upstream, transport, {**MESSAGES, "extra": extra}, asked)
    assert (exchange.headers["anthropic-version"] == "2023-06-01") is old
    assert exchange.head.lower().count("anthropic-version:") == 1
