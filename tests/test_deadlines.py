"""Deadlines: first token, idle, total; each ends the stream and closes the provider's connection."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from streamserver.http.responses.respond import HARD_END_SECONDS
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.application import running_app
from tests.support.client import get_events, stream_url
from tests.support.clock import FakeClock
from tests.support.sse import parse
from tests.support.upstream import Exchange, chunk


async def never(exchange: Exchange) -> None:
    """Send headers and comments, which are no tokens."""
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
    ("script", "deadline", "seconds", "delivered"),
    [(never, "first_token", 0.2, 0), (stalling, "idle", 0.2, 2), (endless, "total", 1, None)],
)
async def test_deadline_ends_the_stream_and_closes_the_providers_connection(
    start_server: StartServer,
    start_upstream: StartUpstream,
    http: aiohttp.ClientSession,
    script: object,
    deadline: str,
    seconds: float,
    delivered: int | None,
) -> None:
    upstream = await start_upstream(script)
    server = await start_server({**openai_at(upstream), "timeouts": {deadline: seconds}, "retry": {"attempts": 1}})
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


async def test_middleware_ends_a_response_that_outlives_its_generation(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generation is stuck and its log never closes: the reader has its one ending all the same."""
    clock = FakeClock()
    config = {
        "server": {"keepalive_seconds": 1000},
        "provider": {"default": "echo"},
        "providers": {"echo": {"kind": "echo", "delay_ms": 0, "hang_after": 1}},
        "timeouts": {"first_token": 100, "idle": 100, "total": 20},
    }
    async with running_app(config, clock=clock) as (core, url), http.get(stream_url(url, "a b")) as response:
        stuck = core.supervisor.find(response.headers["X-Stream-ID"])
        assert stuck is not None and stuck.generation is not None
        monkeypatch.setattr(stuck.generation, "end", lambda terminal: None)
        body = b""
        while b"data: a\n" not in body:
            body += await response.content.readany()
        await clock.passes(20)
        assert stuck.task is not None and stuck.task.done() and not stuck.ended
        await clock.passes(HARD_END_SECONDS - 0.1)
        assert not response.content.is_eof()
        await clock.passes(0.2)
        events = parse(body + await response.read())
        monkeypatch.undo()
    assert [event.type for event in events] == ["start", "message", "error"]
    assert events[-1].json()["code"] == "timeout"
    assert events[-1].id == f"{stuck.id}:end"


async def test_silence_is_filled_with_pings_without_an_id(
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
