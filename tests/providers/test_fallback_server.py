"""Fallbacks and breakers through a real server: the provider that answered is named, one left out is shown."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import get_events, stream_url
from tests.support.sse import text_of
from tests.support.upstream import DONE, Exchange, Script, chunk


async def overloaded(exchange: Exchange) -> None:
    await exchange.answer(503, "{}", extra="Connection: close\r\n")


def config(url: str) -> dict[str, Any]:
    """Return a configuration: ``up``, the default, falls back to ``spare`` after ``keyless``, which cannot answer."""
    spare = {"kind": "echo", "model": "echo-2", "delay_ms": 0}
    keyless = {"kind": "anthropic", "model": "c", "api_key_env": "NO_SUCH_KEY", "base_url": url}
    return {
        "provider": {"default": "up", "fallback": ["keyless", "up", "spare"]},
        "providers": {"keyless": keyless, "spare": spare},
        "retry": {"attempts": 1},
    }


async def listed(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(f"{url}/api/providers") as response:
        return {each["name"]: each for each in (await response.json())["providers"]}


async def test_done_and_the_record_name_the_provider_that_answered(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(overloaded)
    tables = config(upstream.url)
    tables["providers"] |= openai_at(upstream)["providers"]
    server = await start_server(tables)
    assert (await listed(http, server.url))["up"]["breaker"] == {"state": "closed", "failures": 0, "retry_in": None}
    for number in range(5):
        events = await get_events(http, stream_url(server.url))
        assert text_of(events) == "hello big world"
        assert events[0].json()["provider"] == "up"
        done = events[-1].json()
        assert (done["provider"], done["model"]) == ("spare", "echo-2")
        record = await server.record(events[0].json()["stream_id"])
        assert (record["provider"], record["model"], record["status"]) == ("spare", "echo-2", "done")
        assert record["attempts"] == (2 if number < 3 else 1)
    assert upstream.accepted == 3, "after three failures it is left out"
    breaker = (await listed(http, server.url))["up"]["breaker"]
    assert (breaker["state"], breaker["failures"]) == ("open", 3)
    assert 0 < breaker["retry_in"] <= 10


WRONG_KEY = {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}


async def wrong_key(exchange: Exchange) -> None:
    await exchange.answer(400, json.dumps([WRONG_KEY]), extra="Connection: close\r\n")


async def broken_off(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("", finish="error") + DONE)


@pytest.mark.parametrize("script", [wrong_key, broken_off])
async def test_fallback_is_asked_when_the_key_is_refused_as_400_or_the_generation_broke_off(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, script: Script
) -> None:
    upstream = await start_upstream(script)
    tables = config(upstream.url)
    tables["providers"] |= openai_at(upstream)["providers"]
    server = await start_server(tables)
    events = await get_events(http, stream_url(server.url))
    assert text_of(events) == "hello big world"
    assert (events[-1].type, events[-1].json()["provider"]) == ("done", "spare")
    assert upstream.accepted == 1


async def test_request_for_another_provider_gets_no_fallback(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(overloaded)
    tables = config(upstream.url)
    tables["providers"] |= {**openai_at(upstream)["providers"], "other": openai_at(upstream)["providers"]["up"]}
    server = await start_server(tables)
    events = await get_events(http, stream_url(server.url, provider="other"))
    assert events[-1].json()["code"] == "overloaded"
    assert (await server.record(events[0].json()["stream_id"]))["provider"] == "other"
