"""Counting the tokens of a prompt: by Anthropic where it answers, by an estimate elsewhere."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.conftest import StartUpstream
from tests.messages.conftest import ClientOf
from tests.messages.upstreams import TOOLS, provider_at
from tests.support.upstream import Exchange, Script, Upstream

ASKED: dict[str, Any] = {"model": "up", "messages": [{"role": "user", "content": "hello " * 40}]}


def answers(status: int, body: str) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, body)

    return script


async def test_anthropic_counts_the_callers_own_body(client_of: ClientOf, start_upstream: StartUpstream) -> None:
    upstream: Upstream = await start_upstream(answers(200, '{"input_tokens": 1234}'))
    client = await client_of(provider_at("messages", upstream.url, api_key_env="UP_KEY"), environ={"UP_KEY": "sk"})
    body = {**ASKED, "tools": [*TOOLS, {"type": "web_search_20250305", "name": "web_search"}], "system": "s"}
    counted = await client.messages.count_tokens(**body, extra_headers={"anthropic-beta": "one"})
    assert counted.input_tokens == 1234
    (exchange,) = upstream.exchanges
    assert exchange.path == "/v1/messages/count_tokens"
    assert exchange.json() == {**body, "model": "claude-x"}
    assert exchange.headers["authorization"] == "Bearer sk" and exchange.headers["anthropic-beta"] == "one"


@pytest.mark.parametrize("protocol", ["chat", "responses"])
async def test_count_is_an_estimate_when_the_provider_cannot_count(
    client_of: ClientOf, start_upstream: StartUpstream, protocol: str
) -> None:
    upstream: Upstream = await start_upstream(answers(500, "{}"))
    client = await client_of(provider_at(protocol, upstream.url))
    alone = (await client.messages.count_tokens(**ASKED)).input_tokens
    assert alone == 60, "240 characters"
    assert (await client.messages.count_tokens(**ASKED, tools=TOOLS)).input_tokens > alone  # type: ignore[arg-type]
    assert upstream.exchanges == []


async def test_failure_of_a_count_is_a_status(client_of: ClientOf, start_upstream: StartUpstream) -> None:
    upstream: Upstream = await start_upstream(answers(200, "{}"))
    tables = provider_at("messages", upstream.url)
    patient = await client_of(tables)
    impatient = await client_of({**tables, "timeouts": {"first_token": 0.2}})

    async def hangs(exchange: Exchange) -> None:
        await exchange.until_closed(60)

    cases: list[tuple[Script, int, str]] = [
        (answers(429, '{"type":"error","error":{"type":"rate_limit_error","message":"m"}}'), 429, "rate_limit_error"),
        (answers(401, '{"type":"error","error":{"type":"authentication_error","message":"m"}}'), 502, "api_error"),
        (answers(200, '{"tokens": 5}'), 500, "api_error"),
        (answers(200, "<html>"), 500, "api_error"),
        (hangs, 504, "timeout_error"),
    ]
    for script, status, kind in cases:
        client = impatient if script is hangs else patient
        upstream.script = script
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.count_tokens(**ASKED)
        assert (caught.value.status_code, caught.value.type) == (status, kind)
    await upstream.all_closed()


async def test_provider_without_its_key_is_not_asked_for_a_count(
    client_of: ClientOf, start_upstream: StartUpstream
) -> None:
    upstream: Upstream = await start_upstream(answers(200, '{"input_tokens": 1}'))
    client = await client_of(provider_at("messages", upstream.url, api_key_env="UP_KEY"))
    with pytest.raises(anthropic.APIStatusError) as caught:
        await client.messages.count_tokens(**ASKED)
    assert caught.value.status_code == 502 and upstream.exchanges == []


@pytest.mark.parametrize(("fields", "name"), [({"messages": []}, "messages"), ({"system": 5}, "system")])
async def test_wrong_field_of_a_count_is_named(client_of: ClientOf, fields: dict[str, Any], name: str) -> None:
    client = await client_of()
    with pytest.raises(anthropic.BadRequestError, match=f"{name}: "):
        await client.messages.count_tokens(**{**ASKED, "model": "echo", **fields})
