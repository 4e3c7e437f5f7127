"""What a client's caller sees of each kind of trouble, the same in Python, Node and Chromium."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.client.relay import FaultKind, running_fault_relay
from tests.client.runtimes import Runtime, Task
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.redis.asking import until_stored
from tests.redis.conftest import StartNode, redis, start_node, start_redis
from tests.support.redis import RedisProcess
from tests.support.server import ServerProcess
from tests.support.upstream import DONE, Exchange, answer, chunk

__all__ = ["redis", "start_node", "start_redis"]


def allowing(origin: str, **tables: Any) -> dict[str, Any]:
    """Return the tables of a server that pages of ``origin`` may use."""
    return {"auth": {"cors_origins": [origin]}, "server": {"keepalive_seconds": 5}, **tables}


async def endless(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("word"))
    await exchange.closed.wait()


async def test_an_answer_is_read_to_its_end(runtime: Runtime, start_server: StartServer, origin: str) -> None:
    server = await start_server(allowing(origin))
    seen = await runtime.observe(Task(f"{server.url}/api/chat/stream", "one two\nthree"))
    assert (seen.text, seen.ending) == ("one two\nthree", "end")
    assert seen.types == ["start", "text", "text", "text", "done"]
    assert seen.statuses == ["connecting", "open"]
    assert seen.id and seen.id[:6] == (await server.record())["stream_id"]


async def test_a_refusal_ends_the_iteration_when_the_server_refuses_the_request(
    runtime: Runtime, start_server: StartServer, origin: str
) -> None:
    server = await start_server(allowing(origin, limits={"max_prompt_chars": 3}))
    seen = await runtime.observe(Task(server.url, "four"))
    assert (seen.ending, seen.types, seen.statuses) == ("invalid_request", [], ["connecting"])


async def test_an_error_event_ends_the_iteration_when_the_provider_breaks_off(
    runtime: Runtime, start_server: StartServer, start_upstream: StartUpstream, origin: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("Hel"))

    server = await start_server(allowing(origin, **openai_at(await start_upstream(script))))
    seen = await runtime.observe(Task(server.url, "Hello"))
    assert (seen.text, seen.ending, seen.types) == ("Hel", "upstream_disconnected", ["start", "text"])


@pytest.mark.parametrize("kind", ["freeze", "swallow"])
async def test_a_dead_connection_is_noticed_within_two_keepalives_though_there_is_no_error(
    runtime: Runtime, start_server: StartServer, start_upstream: StartUpstream, origin: str, kind: FaultKind
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one "))
        await relay.until_sent(b"one")
        relay.silence(kind)
        before, silent_since = relay.accepted, clock()
        while relay.accepted == before:  # an error to wait for never comes
            await asyncio.sleep(0.01)
        took.append(clock() - silent_since)
        await exchange.send(chunk("two") + chunk(finish="stop") + DONE)

    clock = asyncio.get_running_loop().time
    took: list[float] = []
    upstream = await start_upstream(script)
    server = await start_server(allowing(origin, **openai_at(upstream), server={"keepalive_seconds": 0.5}))
    async with running_fault_relay(server.port) as relay:
        seen = await runtime.observe(Task(relay.url, "count"))
    assert (seen.text, seen.ending) == ("one two", "end")
    assert "reconnecting" in seen.statuses
    assert len(upstream.exchanges) == 1
    assert took[0] < 2 * 15, "two keepalives are 1 s; those that a client takes without a server's word are 30 s"
    print(f"{kind}: connected again after {took[0]:.2f} s; two keepalives are 1.00 s")


async def test_a_silent_model_is_no_dead_connection(
    runtime: Runtime, start_server: StartServer, start_upstream: StartUpstream, origin: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one "))
        await asyncio.sleep(1.6)  # a ping
        await exchange.send(chunk("two") + chunk(finish="stop") + DONE)

    config = allowing(origin, **openai_at(await start_upstream(script)), server={"keepalive_seconds": 1})
    server = await start_server(config)
    async with running_fault_relay(server.port) as relay:
        seen = await runtime.observe(Task(relay.url, "count"))
        assert relay.accepted <= 2, "the second is a preflight's"
    assert (seen.text, seen.ending) == ("one two", "end")
    assert seen.statuses == ["connecting", "open", "quiet", "open"]


async def test_a_typed_error_ends_the_iteration_when_the_server_stays_away(
    runtime: Runtime, start_server: StartServer, start_upstream: StartUpstream, origin: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("word"))
        await relay.until_told()
        relay.go_offline()
        await exchange.closed.wait()

    server = await start_server(allowing(origin, **openai_at(await start_upstream(script))))
    async with running_fault_relay(server.port) as relay:
        seen = await runtime.observe(Task(relay.url, "Go", grace=0, give_up_after=1, action="tell", at=1))
        assert (seen.text, seen.ending) == ("word", "connection_lost")
        unreached = await runtime.observe(Task(relay.url, "Go", give_up_after=1))
        assert (unreached.types, unreached.ending) == ([], "unreachable")


async def test_stop_ends_the_generation_and_keeps_what_came(
    runtime: Runtime, start_server: StartServer, start_upstream: StartUpstream, origin: str
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(allowing(origin, **openai_at(upstream)))
    seen = await runtime.observe(Task(server.url, "Go", action="stop", at=1))
    assert (seen.text, seen.ending, seen.stopped) == ("word", "cancelled", "cancelled")
    await upstream.exchanges[0].until_closed()
    assert (await server.record())["status"] == "cancelled"


async def test_stop_is_repeated_when_its_request_is_lost(
    runtime: Runtime, start_server: StartServer, start_upstream: StartUpstream, origin: str
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(allowing(origin, **openai_at(upstream)))
    async with running_fault_relay(server.port) as relay:
        relay.deletes_to_lose = 2
        seen = await runtime.observe(Task(relay.url, "Go", action="stop", at=1))
    assert (seen.text, seen.ending, seen.stopped) == ("word", "cancelled", "cancelled")


async def test_an_answer_goes_on_when_it_was_left_and_is_resumed(
    runtime: Runtime, start_server: StartServer, start_upstream: StartUpstream, origin: str
) -> None:
    upstream = await start_upstream(answer(*"abcdef"))
    server = await start_server(allowing(origin, **openai_at(upstream)))
    seen = await runtime.observe(Task(server.url, "letters", action="reload", at=3))
    assert (seen.text, seen.ending) == ("abcdef", "end")
    assert seen.positions == list(range(8))
    assert len(upstream.exchanges) == 1


async def test_the_ending_is_told_when_the_server_restarts_and_has_forgotten_the_stream(
    runtime: Runtime, start_server: StartServer, start_upstream: StartUpstream, origin: str
) -> None:
    upstream = await start_upstream(endless)
    config = allowing(origin, **openai_at(upstream))
    first: ServerProcess = await start_server(config)
    second: ServerProcess = await start_server(config)
    async with running_fault_relay(first.port) as relay:
        task = Task(relay.url, "Go", action="tell", at=1)
        observing = asyncio.get_running_loop().create_task(runtime.observe(task))
        await relay.until_told()
        relay.targets = [second.port]
        first.process.kill()
        relay.cut()
        seen = await observing
    assert (seen.text, seen.ending) == ("word", "stream_expired")
    assert len(upstream.exchanges) == 1, "the prompt was not sent again"


async def test_the_ending_is_told_by_another_node_when_the_producer_is_killed(
    runtime: Runtime, start_node: StartNode, start_upstream: StartUpstream, origin: str, redis: RedisProcess
) -> None:
    upstream = await start_upstream(endless)
    config = allowing(origin, **openai_at(upstream))
    first, second = await start_node(config), await start_node(config)
    async with running_fault_relay(first.port) as relay:
        observing = asyncio.get_running_loop().create_task(runtime.observe(Task(relay.url, "Go")))
        await relay.until_sent(b"word")
        started = re.search(rb'"stream_id":"([^"]+)"', relay.sent)
        assert started is not None
        await until_stored(redis, started[1].decode(), 2)
        relay.targets = [second.port]
        first.process.kill()
        seen = await observing
    assert (seen.text, seen.ending) == ("word", "producer_lost")
    assert len(upstream.exchanges) == 1


@asynccontextmanager
async def foreign_server(status: int, content_type: str, body: str) -> AsyncIterator[str]:
    """Run something that is no streamserver, and lets every page read it."""

    async def handle(request: web.Request) -> web.Response:
        headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*, Idempotency-Key"}
        if request.method == "OPTIONS":
            return web.Response(headers=headers)
        return web.Response(status=status, text=body, content_type=content_type, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (200, "text/html", "<h1>Sign in to the airport's Wi-Fi</h1>"),
        (404, "text/html", "not here"),
        (200, "application/json", "{}"),
        (200, "text/event-stream", "data: hello\n\n"),
        (502, "text/html", "bad gateway"),
    ],
)
async def test_what_is_no_streamserver_is_named_with_a_typed_error(
    runtime: Runtime, status: int, content_type: str, body: str
) -> None:
    # A gateway's answer is tried again until the client gives up: long enough for a first answer on a busy machine.
    patience = 3 if status == 502 else 30
    async with foreign_server(status, content_type, body) as url:
        seen = await runtime.observe(Task(url, "Hello", give_up_after=patience))
    assert (seen.ending, seen.types) == ("not_a_streamserver", [])
