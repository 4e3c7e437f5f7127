"""Streams of Messages: a client that leaves, replays, the native API beside them, and keepalives."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartServer, StartUpstream
from tests.messages.upstreams import SCRIPTS, provider_at
from tests.support.sse import parse
from tests.support.upstream import Exchange, Upstream, chunk

ASKED: dict[str, Any] = {"model": "up", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}


async def speaks_and_hangs(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("one"))
    await exchange.until_closed(60)


@pytest.mark.parametrize("streamed", [True, False])
async def test_providers_connection_closes_when_the_client_leaves(
    start_server: StartServer, start_upstream: StartUpstream, streamed: bool
) -> None:
    upstream: Upstream = await start_upstream(speaks_and_hangs)
    server = await start_server(provider_at("chat", upstream.url))
    async with aiohttp.ClientSession() as http:
        asking = asyncio.get_running_loop().create_task(
            http.post(f"{server.url}/v1/messages", json={**ASKED, "stream": streamed})
        )
        exchange = await upstream.exchange()
        if streamed:
            await (await asking).content.readuntil(b"one")
            (await asking).close()
        else:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await exchange.until_closed()
    record = await server.record()
    assert (record["status"], record["wire"]) == ("cancelled", "messages")


async def test_retry_with_the_same_key_is_given_the_same_answer(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream: Upstream = await start_upstream(SCRIPTS["chat"])
    server = await start_server(provider_at("chat", upstream.url))
    url, headers = f"{server.url}/v1/messages", {"Idempotency-Key": "key-0001"}
    bodies, ids = [], set()
    for _ in range(2):
        async with http.post(url, json={**ASKED, "stream": True}, headers=headers) as response:
            assert response.status == 200 and response.content_type == "text/event-stream"
            ids.add(response.headers["X-Stream-ID"])
            bodies.append(await response.read())
    assert bodies[0] == bodies[1] and len(ids) == 1 and len(upstream.exchanges) == 1
    async with http.post(url, json={**ASKED, "stream": True, "max_tokens": 7}, headers=headers) as response:
        assert response.status == 400 and (await response.json())["error"]["type"] == "invalid_request_error"


async def test_native_api_reads_on_what_a_client_with_a_grace_has_left(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    more = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one"))
        await more.wait()
        await exchange.send(chunk("two") + chunk(finish="stop"))

    upstream = await start_upstream(script)
    server = await start_server(provider_at("chat", upstream.url))
    headers = {"X-Stream-Grace": "20"}
    response = await http.post(f"{server.url}/v1/messages", json={**ASKED, "stream": True}, headers=headers)
    await response.content.readuntil(b"one")
    stream_id = response.headers["X-Stream-ID"]
    response.close()
    more.set()
    async with http.get(f"{server.url}/api/chat/streams/{stream_id}") as native:
        events = parse(await native.read())
    assert [event.id.rpartition(":")[2] for event in events] == [str(number) for number in range(len(events))]
    assert "".join(event.data for event in events if event.type == "message") == "onetwo"


async def test_ping_keeps_a_silent_stream_open(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(speaks_and_hangs)
    server = await start_server({**provider_at("chat", upstream.url), "server": {"keepalive_seconds": 1}})
    async with http.post(f"{server.url}/v1/messages", json={**ASKED, "stream": True}) as response:
        await response.content.readuntil(b'event: ping\ndata: {"type":"ping"}\n\n')
    await server.record()
