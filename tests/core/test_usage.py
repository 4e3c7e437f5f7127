"""Every ending tells what it cost: exactly where the provider says it, else estimated and marked so."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import RawStream, get_events, stream_url
from tests.support.upstream import DONE, Exchange, Script, chunk, usage_chunk

PROMPT = "twelve chars"  # three tokens, by our rule


def usage(prompt: int, completion: int, *, estimated: bool) -> dict[str, Any]:
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, "estimated": estimated}


def streams(*parts: str) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        for part in parts:
            await exchange.send(part)

    return script


async def refuses(exchange: Exchange) -> None:
    await exchange.answer(400, json.dumps({"error": {"message": "no"}}), extra="Connection: close\r\n")


IN_BAND = 'data: {"error": {"message": "x", "type": "server_error"}}\n\n'
EXACT = usage(40, 2, estimated=False)
BESIDE = {"prompt_tokens": 40, "completion_tokens": 2}
FINISH = chunk(finish="stop")

CASES: dict[str, tuple[Script, str, dict[str, Any]]] = {
    "told at the end": (streams(chunk("a"), FINISH, usage_chunk(40, 2), DONE), "done", EXACT),
    "told beside the last piece": (streams(chunk("a", finish="stop", usage=BESIDE)), "done", EXACT),
    "told twice, falling": (streams(chunk("a"), FINISH, usage_chunk(40, 2), usage_chunk(30, 1)), "done", EXACT),
    "told too early": (streams(chunk("a", usage=BESIDE), chunk("b"), FINISH), "done", usage(40, 2, estimated=True)),
    "never told": (streams(chunk("a"), chunk("b"), FINISH, DONE), "done", usage(3, 2, estimated=True)),
    "cut": (streams(chunk("a"), chunk("b")), "upstream_disconnected", usage(3, 2, estimated=True)),
    "failed after it was told": (streams(chunk("a"), usage_chunk(40, 2), IN_BAND), "upstream_error", EXACT),
    "refused": (refuses, "invalid_request", usage(3, 0, estimated=True)),
}


@pytest.mark.parametrize(("script", "status", "expected"), CASES.values(), ids=CASES)
async def test_usage_is_told_whatever_the_end(
    start_server: StartServer,
    start_upstream: StartUpstream,
    http: aiohttp.ClientSession,
    script: Script,
    status: str,
    expected: dict[str, Any],
) -> None:
    upstream = await start_upstream(script)
    server = await start_server({**openai_at(upstream), "retry": {"attempts": 1}})
    events = await get_events(http, stream_url(server.url, PROMPT))
    assert events[-1].json()["usage"] == expected
    record = await server.record()
    assert record["status"] == status
    assert {name: record[name] for name in expected} == expected


OVERLOADED = 'data: {"error": {"message": "x", "type": "overloaded_error"}}\n\n'


async def test_usage_is_that_of_the_attempt_that_answers(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    scripts = [streams(usage_chunk(100, 5), OVERLOADED), CASES["told at the end"][0]]
    upstream = await start_upstream(lambda exchange: scripts.pop(0)(exchange))
    server = await start_server({**openai_at(upstream), "retry": {"attempts": 2, "max_wait": 0}})
    events = await get_events(http, stream_url(server.url, PROMPT))
    assert events[-1].json()["usage"] == EXACT


async def test_a_stream_that_is_stopped_has_an_estimate_of_what_came(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("x" * 36))
        await asyncio.Event().wait()

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    stream = await (
        await RawStream.request(server.port, f"/api/chat/stream?prompt={PROMPT.replace(' ', '%20')}")
    ).head()
    start, *_ = await stream.events(2)
    async with http.delete(f"{server.url}/api/chat/streams/{start.json()['stream_id']}") as response:
        assert response.status == 204
    last = (await stream.events())[-1].json()
    stream.close()
    assert (last["code"], last["usage"]) == ("cancelled", usage(3, 9, estimated=True))
    assert (await server.record())["estimated"] is True


async def test_record_has_no_usage_when_no_request_was_sent(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    dead = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9"}
    keyless = {**dead, "api_key_env": "NO_SUCH_KEY"}
    providers = {"dead": dead, "keyless": keyless}
    server = await start_server({"providers": providers, "retry": {"attempts": 2, "max_wait": 0}})
    for name, code in (("dead", "upstream_unavailable"), ("keyless", "provider_auth")):
        events = await get_events(http, stream_url(server.url, provider=name))
        assert (events[-1].json()["code"], events[-1].json()["usage"]) == (code, None)
        record = await server.record(events[0].json()["stream_id"])
        assert (record["total_tokens"], record["estimated"]) == (None, None)
