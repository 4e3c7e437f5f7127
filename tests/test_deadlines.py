"""Deadlines: first token, idle, total; each ends the stream and closes the provider's connection."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from providers.registry import load_registry
from streamserver import Settings, create_app
from streamserver.http import reading
from streamserver.http.core import CORE
from streamserver.runner import AppRunner
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import get_events, stream_url
from tests.support.sse import parse
from tests.support.upstream import Exchange, chunk


async def never(exchange: Exchange) -> None:
    """Headers and comments, which are no tokens."""
    await exchange.start_stream()
    while not exchange.closed.is_set():
        await exchange.send(": still here\n\n")
        await asyncio.sleep(0.01)


async def stalling(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("one") + chunk("two"))
    while not exchange.closed.is_set():
        await exchange.send(": still here\n\n" + chunk(choices=[]))
        await asyncio.sleep(0.01)


async def endless(exchange: Exchange) -> None:
    await exchange.start_stream()
    while not exchange.closed.is_set():
        await exchange.send(chunk("more "))
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "deadline", "delivered"), [(never, "first_token", 0), (stalling, "idle", 2), (endless, "total", None)]
)
async def test_a_deadline_that_passes_ends_the_stream_and_closes_the_providers_connection(
    start_server: StartServer,
    start_upstream: StartUpstream,
    http: aiohttp.ClientSession,
    script: object,
    deadline: str,
    delivered: int | None,
) -> None:
    upstream = await start_upstream(script)
    server = await start_server({**openai_at(upstream), "timeouts": {deadline: 0.4}, "retry": {"attempts": 1}})
    events = await get_events(http, stream_url(server.url))
    error = events[-1]
    assert (error.type, error.json()["code"], error.json()["retryable"]) == ("error", "timeout", True)
    assert deadline in error.json()["message"]
    assert [event.type for event in events].count("error") == 1
    messages = [event for event in events if event.type == "message"]
    assert len(messages) == delivered if delivered is not None else messages
    await upstream.all_closed()
    record = await server.record()
    assert (record["status"], record["estimated"]) == ("timeout", True)


async def test_a_response_that_outlives_its_generation_gets_its_ending_from_the_middleware(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """The generation is stuck and its log never closes: the reader has its one ending all the same."""
    monkeypatch.setattr(reading, "HARD_END_SECONDS", 0.1)
    tables = {"echo": {"kind": "echo", "hang_after": 1}}
    settings = Settings(
        providers=tables,
        provider=type(Settings().provider)(default="echo"),
        timeouts=type(Settings().timeouts)(total=0.2),
    )
    app = create_app(settings, registry=load_registry())
    runner = AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    try:
        url = stream_url(f"http://127.0.0.1:{unused_tcp_port}", "a b")
        async with http.get(url) as response:
            stuck = app[CORE].supervisor.find(response.headers["X-Stream-ID"])
            assert stuck is not None and stuck.generation is not None
            monkeypatch.setattr(stuck.generation, "end", lambda terminal: None)
            events = parse(await response.read())
            monkeypatch.undo()
        assert [event.type for event in events] == ["start", "message", "error"]
        assert events[-1].json()["code"] == "timeout"
        assert events[-1].id == f"{stuck.id}:end"
    finally:
        await runner.cleanup()


async def test_silence_is_filled_with_pings_that_move_nobodys_position(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server(
        {
            "server": {"keepalive_seconds": 0.05},
            "providers": {"echo": {"kind": "echo", "delay_ms": 300}},
        }
    )
    async with http.get(stream_url(server.url)) as response:
        body = await response.read()
    events = parse(body)
    pings = [event for event in events if event.type == "ping"]
    assert len(pings) >= 2
    assert all(event.data == "{}" for event in pings)
    assert b"event: ping\ndata: {}\n\n" in body
    assert body.count(b"id: ") == 5, "a ping has no id"
