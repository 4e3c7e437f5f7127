"""A disconnect stops the provider: the last reader leaves, and the provider's connection closes."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress

import aiohttp
import pytest

from streamserver.core.generation import Outcome
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.application import running_app
from tests.support.client import RawStream, stream_url
from tests.support.clock import FakeClock
from tests.support.server import ServerProcess
from tests.support.sse import parse
from tests.support.upstream import Exchange, chunk, one_and_later_two

TARGET = "/api/chat/stream?prompt=hello"


async def silent(exchange: Exchange) -> None:
    """Send headers, and then nothing."""
    await exchange.start_stream()
    await exchange.until_closed(60)


async def unanswering(exchange: Exchange) -> None:
    """Send nothing, not even headers."""
    await exchange.until_closed(60)


async def pausing(exchange: Exchange) -> None:
    """Send one token, and then nothing."""
    await exchange.start_stream()
    await exchange.send(chunk("one"))
    await exchange.until_closed(60)


async def chattering(exchange: Exchange) -> None:
    """Send tokens without an end."""
    await exchange.start_stream()
    while not exchange.closed.is_set():
        await exchange.send(chunk("more "))
        await asyncio.sleep(0.005)


async def readers_left(server: ServerProcess, count: int) -> None:
    """Wait until the server, which logs at DEBUG, has seen so many readers leave."""
    async with asyncio.timeout(60):
        while len(server.records("reader")) < count:
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("script", [unanswering, silent, pausing, chattering])
@pytest.mark.parametrize("leave", ["close", "reset", "half-close"])
async def test_a_reader_that_leaves_closes_the_providers_connection(
    start_server: StartServer, start_upstream: StartUpstream, script: object, leave: str
) -> None:
    upstream = await start_upstream(script)
    server = await start_server({**openai_at(upstream), "log": {"level": "DEBUG"}})
    stream = await RawStream.request(server.port, TARGET)
    await stream.head()
    await stream.events(2 if script in (pausing, chattering) else 1)
    exchange = await upstream.exchange()
    match leave:
        case "close":
            stream.close()
        case "reset":
            stream.writer.transport.abort()
        case "half-close":
            stream.writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
    await exchange.until_closed()
    stream.close()
    record = await server.record()
    assert record["status"] == "cancelled"
    assert record["estimated"] is True
    await upstream.all_closed()


async def test_stop_closes_the_providers_connection_and_ends_every_reader(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(pausing)
    server = await start_server(openai_at(upstream))
    readers = [await (await RawStream.request(server.port, TARGET)).head()]
    start = (await readers[0].events(2))[0].json()
    path = f"/api/chat/streams/{start['stream_id']}"
    for _ in range(2):
        readers.append(await (await RawStream.request(server.port, path)).head())
        await readers[-1].events(2)
    async with http.delete(server.url + path) as response:
        assert response.status == 204
        assert await response.read() == b""
    exchange = await upstream.exchange()
    await exchange.until_closed()
    for reader in readers:
        events = await reader.events()
        assert [(event.type, event.json()["code"], event.offset) for event in events] == [("error", "cancelled", "2")]
        reader.close()
    async with http.delete(server.url + path) as response:
        assert response.status == 204, "stopping what has ended is no error"


async def test_stream_goes_on_when_one_of_several_readers_disconnects(
    start_server: StartServer, start_upstream: StartUpstream
) -> None:
    more = asyncio.Event()
    upstream = await start_upstream(one_and_later_two(more))
    server = await start_server({**openai_at(upstream), "log": {"level": "DEBUG"}})
    first = await (await RawStream.request(server.port, TARGET)).head()
    start = (await first.events(2))[0].json()
    second = await (await RawStream.request(server.port, f"/api/chat/streams/{start['stream_id']}")).head()
    await second.events(2)
    first.close()
    await readers_left(server, 1)
    more.set()
    events = await second.events()
    assert [event.type for event in events] == ["message", "done"]
    second.close()


async def test_the_concurrency_slot_of_a_cancelled_stream_is_free(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(silent)
    server = await start_server({**openai_at(upstream), "limits": {"max_streams": 1}})
    for round_ in range(20):
        stream = await (await RawStream.request(server.port, TARGET)).head()
        assert stream.status == 200
        await stream.events(1)
        async with http.get(stream_url(server.url)) as refused:
            assert refused.status == 503
            assert (await refused.json())["code"] == "overloaded"
            assert int(refused.headers["Retry-After"]) >= 1
        await (exchange := await upstream.exchange(round_)).send("")
        stream.close()
        await exchange.until_closed()
        async with asyncio.timeout(60):
            while len(server.records()) <= round_:
                await asyncio.sleep(0.002)
    assert [record["status"] for record in server.records()] == ["cancelled"] * 20


async def test_created_stream_is_cancelled_when_no_reader_comes(
    start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(pausing)
    clock = FakeClock()
    outcomes: list[Outcome] = []
    config = {**openai_at(upstream), "resume": {"attach_seconds": 7}}
    async with running_app(config, clock=clock, on_end=outcomes.append) as (core, url):
        async with http.post(f"{url}/api/chat/streams", json={"prompt": "hello"}) as response:
            assert response.status == 201
            created = await response.json()
        stream = core.supervisor.find(created["stream_id"])
        assert stream is not None
        async with asyncio.timeout(60):
            while len(stream.log) < 2:
                await asyncio.sleep(0.001)
        await clock.passes(6.9)
        assert not stream.ended
        await clock.passes(0.2)
        await (await upstream.exchange()).until_closed()
        async with http.get(url + created["url"]) as response:
            events = parse(await response.read())
    assert [event.type for event in events] == ["start", "message", "error"], "what was generated stays readable"
    assert events[-1].json()["code"] == "cancelled"
    assert [outcome.stream_id for outcome in outcomes] == [stream.id]


async def test_a_grace_lets_a_dropped_reader_come_back(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    more = asyncio.Event()
    upstream = await start_upstream(one_and_later_two(more))
    server = await start_server({**openai_at(upstream), "log": {"level": "DEBUG"}})
    stream = await (await RawStream.request(server.port, TARGET + "&grace=30")).head()
    last = (await stream.events(2))[-1]
    stream.close()
    await readers_left(server, 1)
    more.set()
    again = await (await RawStream.request(server.port, TARGET, headers={"Last-Event-ID": last.id})).head()
    assert [(event.type, event.offset) for event in await again.events()] == [("message", "2"), ("done", "3")]
    again.close()
    assert len(upstream.exchanges) == 1


async def test_a_provider_that_has_fallen_silent_is_stopped_and_its_reader_told(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"providers": {"echo": {"kind": "echo", "hang_after": 1}}})
    stream = await (await RawStream.request(server.port, TARGET + "+world")).head()
    start = (await stream.events(2))[0].json()
    async with http.delete(f"{server.url}/api/chat/streams/{start['stream_id']}") as response:
        assert response.status == 204
    assert [event.json()["code"] for event in await stream.events()] == ["cancelled"]
    stream.close()


async def test_post_streams_are_cancelled_as_well(start_server: StartServer, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream(pausing)
    server = await start_server(openai_at(upstream))
    stream = await RawStream.request(server.port, "/api/chat/stream", method="POST", body={"prompt": "hi"})
    await (await stream.head()).events(2)
    stream.close()
    await (await upstream.exchange()).until_closed()
    await upstream.all_closed()


async def test_a_hundred_cancels_in_a_row_each_close_their_connection(
    start_server: StartServer, start_upstream: StartUpstream
) -> None:
    """How long each took is printed (-s); its bound is the benchmarks' business."""
    upstream = await start_upstream(pausing)
    server = await start_server(openai_at(upstream))
    taken = []
    for number in range(100):
        stream = await (await RawStream.request(server.port, TARGET)).head()
        await stream.events(2)
        exchange = await upstream.exchange(number)
        left = time.monotonic()
        stream.close()
        taken.append((await exchange.until_closed() - left) * 1000)
    taken.sort()
    print(f"cancel: p50 {taken[49]:.2f} ms, p99 {taken[98]:.2f} ms of 100")
    await upstream.all_closed()
    assert upstream.accepted == 100


@pytest.mark.parametrize("size", [900_000, 100])
async def test_disconnect_is_detected_behind_an_unread_body(
    start_server: StartServer, start_upstream: StartUpstream, size: int
) -> None:
    upstream = await start_upstream(silent)
    server = await start_server(openai_at(upstream))
    stream = await RawStream.request(server.port, TARGET, body=b"x" * size)
    await (await stream.head()).events(1)
    exchange = await upstream.exchange()
    stream.close()
    await exchange.until_closed()
    assert (await server.record())["status"] == "cancelled"


@pytest.mark.parametrize("together", [True, False], ids=["with it", "later"])
@pytest.mark.parametrize("behind", ["many requests", "a large body"])
async def test_what_is_sent_behind_a_stream_hides_no_leaving(
    start_server: StartServer, start_upstream: StartUpstream, behind: str, together: bool
) -> None:
    """aiohttp stops reading from a connection that has sent much ahead."""
    upstream = await start_upstream(silent)
    server = await start_server({**openai_at(upstream)})
    stream = await RawStream.request(server.port, TARGET)
    if not together:
        await (await stream.head()).events(1)
        await upstream.exchange()
    host = f"Host: 127.0.0.1:{server.port}\r\n"
    if behind == "many requests":
        stream.writer.write(f"GET /healthz HTTP/1.1\r\n{host}\r\n".encode() * 100)
    else:
        size = 900_000
        head = f"POST /api/chat/streams HTTP/1.1\r\n{host}Content-Length: {size}\r\n\r\n"
        stream.writer.write(head.encode() + b" " * size)
    with suppress(OSError):  # the server may have cut the connection by now
        stream.writer.write_eof()
    record = await server.record()
    assert record["status"] == "cancelled"
    await upstream.all_closed()
    stream.close()


async def test_a_few_requests_behind_a_stream_are_answered_after_it(start_server: StartServer) -> None:
    server = await start_server()
    stream = await RawStream.request(server.port, TARGET)
    stream.writer.write(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode() * 5)
    assert (await (await stream.head()).events())[-1].type == "done"
    for _ in range(5):
        assert (await stream.head()).status == 200
        await stream.reader.readexactly(int(stream.headers["content-length"]))
    stream.close()
