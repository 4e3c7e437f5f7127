"""What happens to streams when a node dies, and when Redis does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from streamserver.redis.keys import HEARTBEAT_LEASE_SECONDS
from tests.conftest import StartServer, openai_at
from tests.redis.asking import BODY, STREAMS, attach, create, two, until_stored
from tests.redis.conftest import StartNode, StartRedis
from tests.support.client import RawStream, get_events, post_events, stream_url
from tests.support.commands import output_of
from tests.support.ports import free_port
from tests.support.proxy import Proxy, running_proxy
from tests.support.redis import RedisProcess
from tests.support.sse import DispatchedEvent, parse, text_of
from tests.support.upstream import DONE, Exchange, Tap, Upstream, answer, chunk

OUTAGE_STEPS, OUTAGE_STEP_SECONDS = 20, 0.5


@pytest.fixture
async def cable(redis: RedisProcess) -> AsyncIterator[Proxy]:
    """Return the proxy that one node's connections to Redis go through."""
    async with running_proxy(redis.port) as proxy:
        yield proxy


async def rest(reader: RawStream) -> list[DispatchedEvent]:
    events = await reader.events()
    reader.close()
    return events


async def test_readers_of_a_killed_node_get_what_there_was_and_one_end(
    start_node: StartNode, upstream: Upstream, http: aiohttp.ClientSession
) -> None:
    async def ten_words(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send("".join(chunk("word ") for _ in range(10)))
        await exchange.closed.wait()

    upstream.script = ten_words
    producer, *others = await asyncio.gather(*(start_node(openai_at(upstream), grace_seconds=30) for _ in range(3)))
    streams = [await create(http, producer) for _ in range(5)]
    readers = [await attach(other, stream_id) for stream_id in streams for other in others]
    near = await attach(producer, streams[0])
    for reader in readers:
        await reader.events(11)
    producer.process.kill()
    killed = time.monotonic()
    ends = await asyncio.gather(*(rest(reader) for reader in readers))
    took = time.monotonic() - killed
    near.close()
    for reader, end in zip(readers, ends, strict=True):
        assert end[-1].json()["code"] == "producer_lost" and end[-1].json()["retryable"]
        events = parse(reader.raw)
        assert end[-1].id == f"{events[0].json()['stream_id']}:end"
        assert [event.offset for event in events[:-1]] == [str(n) for n in range(len(events) - 1)]
        assert [event.type for event in events].count("error") == 1
    assert all(readers[i].raw == readers[i + 1].raw for i in range(0, len(readers), 2)), "both nodes tell the same"
    words = sum(text_of(parse(readers[i].raw)).count("word") for i in range(0, len(readers), 2))
    assert words == 50, "nothing that was generated is lost"
    began = time.monotonic()
    for other in others:
        for stream_id in streams:
            events = await get_events(
                http, f"{other.url}{STREAMS}/{stream_id}", headers={"Last-Event-ID": f"{stream_id}:0"}
            )
            assert events[-1].json()["code"] == "producer_lost"
            async with http.get(stream_url(other.url), headers={"Last-Event-ID": events[-1].id}) as response:
                assert response.status == 204
    each = (time.monotonic() - began) / len(others) / len(streams)
    assert each < HEARTBEAT_LEASE_SECONDS, "that it is lost is known, and not found out again"
    assert len(upstream.exchanges) == 5, "nothing is generated again"
    print(f"5 streams, 10 readers, 50 tokens, 0 lost, 0 doubled, 5 prompts sent; told after {took:.2f} s")


async def test_a_reader_that_comes_back_after_its_node_was_killed_is_told(
    start_node: StartNode, upstream: Upstream, tap: Tap, redis: RedisProcess
) -> None:
    producer, other = await two(start_node, upstream, grace_seconds=30)
    near = await RawStream.request(producer.port, stream_url("", grace=30))
    await near.head()
    tap("hello ")
    await near.events(2)
    stream_id = near.headers["x-stream-id"]
    await until_stored(redis, stream_id, 2)
    producer.process.kill()
    near.close()
    far = [await attach(other, stream_id, 0) for _ in range(3)]
    ends = await asyncio.gather(*(rest(reader) for reader in far))
    assert all(text_of(end) == "hello " and end[-1].json()["code"] == "producer_lost" for end in ends)


async def test_key_is_free_when_its_producer_died_before_the_first_token(
    start_node: StartNode, upstream: Upstream, http: aiohttp.ClientSession
) -> None:
    producer, other = await two(start_node, upstream, grace_seconds=30)
    headers = {"Idempotency-Key": "order-0001"}
    first = await create(http, producer, headers=headers)
    await upstream.exchange()
    producer.process.kill()
    lost = await post_events(http, other.url, BODY, headers=headers)
    assert [event.type for event in lost] == ["start", "error"] and lost[0].json()["stream_id"] == first
    upstream.script = answer("hello ", "again")
    assert text_of(await post_events(http, other.url, BODY, headers=headers)) == "hello again"


async def test_a_log_that_redis_lost_is_written_again(
    start_node: StartNode, upstream: Upstream, tap: Tap, redis: RedisProcess, http: aiohttp.ClientSession
) -> None:
    producer, other = await two(start_node, upstream, grace_seconds=30)
    tap("whole ", "answer", None)
    finished = await post_events(http, producer.url, BODY, headers={"Idempotency-Key": "order-0001"})
    stream_id = await create(http, producer)
    near, far = await attach(producer, stream_id), await attach(other, stream_id)
    tap("hello ")
    await near.events(2), await far.events(2)
    await redis.kill()
    tap("big ")
    assert text_of(await near.events(1)) == "big ", "a local reader waits for no store"
    await redis.start()
    tap("world", None)
    assert text_of(await rest(near)) == "big world".removeprefix("big ")
    assert text_of(await rest(far)) == "big world"
    assert near.raw == far.raw
    assert await get_events(http, f"{other.url}{STREAMS}/{stream_id}") == parse(near.raw)
    again = await get_events(http, stream_url(other.url), headers={"Last-Event-ID": finished[0].id})
    assert again == finished[1:], "the finished one, too"
    assert await post_events(http, other.url, BODY, headers={"Idempotency-Key": "order-0001"}) == finished
    assert len(upstream.exchanges) == 2


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_redis_outage_of_ten_seconds_does_not_mark_producers_dead(
    start_node: StartNode, upstream: Upstream, tap: Tap, redis: RedisProcess, http: aiohttp.ClientSession, how: str
) -> None:
    producer, other = await asyncio.gather(
        *(start_node({**openai_at(upstream), "server": {"keepalive_seconds": 1}}, grace_seconds=30) for _ in range(2))
    )
    stream_id = await create(http, producer)
    near, far = await attach(producer, stream_id), await attach(other, stream_id)
    tap("0 ")
    await near.events(2), await far.events(2)
    if how == "gone":
        await redis.kill()
    else:
        redis.pause()
    late = None
    for count in range(1, OUTAGE_STEPS + 1):
        tap(f"{count} ")
        while f"{count} " not in text_of(await near.events(1)):
            pass  # a ping: a local reader goes on undisturbed, while Redis is away
        if count == 3:
            async with http.post(f"{producer.url}{STREAMS}", json=BODY) as response:
                assert response.status == 503 and "Retry-After" in response.headers
                assert (await response.json())["code"] == "store_unavailable"
            late = await attach(other, stream_id, 0) if how == "gone" else None
            if late is not None:
                assert (await late.events(1))[0].type == "ping", "a reader that comes meanwhile waits, and gets pings"
        await asyncio.sleep(OUTAGE_STEP_SECONDS)
    if how == "gone":
        await redis.start()
    else:
        redis.resume()
    tap("end", None)
    whole = " ".join(map(str, range(OUTAGE_STEPS + 1))) + " end"
    await rest(near)
    await rest(far)
    for reader in (near, far):
        events = [event for event in parse(reader.raw) if event.type != "ping"]
        assert text_of(events) == whole and events[-1].type == "done"
        assert [event.offset for event in events] == [str(n) for n in range(len(events))]
    if late is not None:
        assert text_of(await rest(late)) == whole
    assert len(upstream.exchanges) == 1
    upstream.script = answer("and ", "on")
    assert text_of(await post_events(http, other.url, BODY)) == "and on", "all is well again"
    for server in (producer, other):
        assert "producer_lost" not in server.log and "crash" not in server.log
        assert not any(record["status"] == "producer_lost" for record in server.records())


async def test_if_redis_stays_away_a_remote_reader_is_sent_away_without_an_end(
    start_node: StartNode, upstream: Upstream, tap: Tap, redis: RedisProcess, http: aiohttp.ClientSession
) -> None:
    producer, other = await two(start_node, upstream, grace_seconds=60)
    stream_id = await create(http, producer)
    near, far = await attach(producer, stream_id), await attach(other, stream_id)
    tap("hello ")
    await near.events(2), await far.events(2)
    await redis.kill()
    late = await attach(other, stream_id, 1)
    for reader in (far, late):
        async with asyncio.timeout(25):
            with pytest.raises(asyncio.IncompleteReadError):  # cut, as a network would: no client takes it for whole
                await rest(reader)
        assert {event.type for event in parse(reader.raw)} <= {"start", "message", "ping"}, "it may come back"
    async with http.delete(f"{other.url}{STREAMS}/{stream_id}") as response:
        assert response.status == 503
    await redis.start()
    tap("world", None)
    assert text_of(await rest(near)) == "world"
    assert text_of(await rest(await attach(other, stream_id, 1))) == "world"


async def test_a_start_without_redis_refuses_streams_until_it_is_there(
    start_node: StartNode, upstream: Upstream, redis: RedisProcess, http: aiohttp.ClientSession
) -> None:
    await redis.kill()
    server = await start_node(openai_at(upstream))
    async with http.post(f"{server.url}{STREAMS}", json=BODY) as response:
        assert (response.status, (await response.json())["code"]) == (503, "store_unavailable")
    for event in ("store", "limits"):
        (lost,) = await server.logged(event)
        assert (lost["address"], lost["reason"]) == (f"127.0.0.1:{redis.port}", "Connection refused")
    await redis.start()
    upstream.script = answer("hello ", "world")
    async with asyncio.timeout(60):
        while True:
            async with http.post(f"{server.url}/api/chat/stream", json=BODY) as response:
                if response.status == 200:
                    assert text_of(parse(await response.read())) == "hello world"
                    break
            await asyncio.sleep(0.05)


async def test_a_producer_that_redis_cannot_hear_is_fenced_and_stops(
    start_node: StartNode, upstream: Upstream, tap: Tap, cable: Proxy, http: aiohttp.ClientSession
) -> None:
    cut_off = await start_node(openai_at(upstream), url=f"redis://127.0.0.1:{cable.port}/0", grace_seconds=30)
    other = await start_node(openai_at(upstream), grace_seconds=30)
    stream_id = await create(http, cut_off)
    near, far = await attach(cut_off, stream_id), await attach(other, stream_id)
    tap("hello ")
    await near.events(2), await far.events(2)
    cable.refuse()
    tap("no other node gets this")
    await near.events(1)
    assert [event.json()["code"] for event in await rest(far)] == ["producer_lost"]
    cable.accept()
    (end,) = await rest(near)
    assert (end.json()["code"], end.id) == ("producer_lost", f"{stream_id}:end"), "its own readers are told the same"
    await upstream.all_closed()
    assert (await cut_off.record(stream_id))["status"] == "producer_lost"
    for server in (cut_off, other):
        for position in (0, 2, 3):
            events = await rest(await attach(server, stream_id, position))
            assert [event.type for event in events].count("error") == 1, "whatever it had, it gets its end"


async def test_cuts_and_delays_on_the_way_to_redis_lose_and_double_nothing(
    start_node: StartNode, upstream: Upstream, cable: Proxy, http: aiohttp.ClientSession
) -> None:
    producer = await start_node(openai_at(upstream), url=f"redis://127.0.0.1:{cable.port}/0", grace_seconds=30)
    other = await start_node(openai_at(upstream), grace_seconds=30)
    words = [f"{number} " for number in range(400)]

    async def slowly(exchange: Exchange) -> None:
        await exchange.start_stream()
        for word in words:
            await exchange.send(chunk(word))
            await asyncio.sleep(0.01)
        await exchange.send(chunk(finish="stop") + DONE)

    upstream.script = slowly
    streams = [await create(http, producer) for _ in range(4)]
    readers = [await attach(other, stream_id) for stream_id in streams]
    reading = asyncio.gather(*(rest(reader) for reader in readers))
    for number in range(12):
        await asyncio.sleep(0.25)
        if number % 3:
            cable.cut()
        else:
            cable.hold()
            await asyncio.sleep(0.3)
            cable.flow()
    await reading
    for reader in readers:
        events = [event for event in parse(reader.raw) if event.type != "ping"]
        assert events[-1].type == "done", events[-1]
        assert text_of(events) == "".join(words)
        assert [event.offset for event in events] == [str(n) for n in range(len(events))]
    assert len(upstream.exchanges) == 4 and cable.accepted > 8


@pytest.mark.parametrize("way", ["password", "database", "unix", "tls"])
async def test_redis_with_a_password_a_database_number_a_unix_socket_and_tls(
    start_redis: StartRedis,
    start_server: StartServer,
    upstream: Upstream,
    http: aiohttp.ClientSession,
    find_program: Callable[[str], str],
    tmp_path: Path,
    short_folder: Path,
    way: str,
) -> None:
    upstream.script = answer("hello ", "world")
    match way:
        case "password":
            guarded = await start_redis("--requirepass", "open:sesame")
            url = f"redis://:open%3Asesame@127.0.0.1:{guarded.port}/0"
        case "database":
            guarded = await start_redis()
            url = f"redis://127.0.0.1:{guarded.port}/5"
        case "unix":
            path = short_folder / "redis.sock"
            guarded = await start_redis("--unixsocket", str(path), "--requirepass", "open:sesame")
            url = f"unix://:open%3Asesame@{path}?db=5"
        case _:
            key, certificate = await self_signed(find_program("openssl"), tmp_path)
            options = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no")
            port = free_port()
            # Valkey as the package brings it has no TLS.
            program = find_program("redis-server")
            guarded = await start_redis("--tls-port", str(port), *options, program=program)
            url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
    nodes = [await start_server({**openai_at(upstream), "resume": {"store": url}}) for _ in range(2)]
    events = await get_events(http, stream_url(nodes[0].url))
    assert text_of(events) == "hello world"
    assert await get_events(http, f"{nodes[1].url}{STREAMS}/{events[0].json()['stream_id']}") == events
    for node in nodes:
        assert "sesame" not in node.log + node.announced


async def self_signed(openssl: str, folder: Path) -> tuple[Path, Path]:
    """Return a key and a certificate for the loopback."""
    key, certificate = folder / "redis.key", folder / "redis.pem"
    await output_of(
        *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
    )
    return key, certificate
