"""Several nodes, one store: any of them serves, resumes and stops any stream."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.conftest import StartServer, openai_at
from tests.redis.asking import BODY, STREAMS, attach, create, two, until_stored
from tests.redis.conftest import StartNode, StartRedis
from tests.support.client import RawStream, get_events, post_events, stream_url
from tests.support.redis import RedisProcess
from tests.support.sse import parse, text_of
from tests.support.upstream import Exchange, Tap, Upstream, answer

pytestmark = pytest.mark.each_redis

PROMPT = {"prompt": "violet-elephant"}


async def test_a_stream_is_read_live_and_resumed_on_another_node(
    start_node: StartNode, upstream: Upstream, tap: Tap, http: aiohttp.ClientSession
) -> None:
    producer, other = await two(start_node, upstream)
    stream_id = await create(http, producer)
    near, far = await attach(producer, stream_id), await attach(other, stream_id)
    tap("hello ")
    for reader in (near, far):
        assert text_of(await reader.events(2)) == "hello ", "live, before the next piece"
    tap("big ")
    assert text_of(await far.events(1)) == "big "
    late = await attach(other, stream_id, 1)
    assert text_of(await late.events(1)) == "big "
    tap("world", None)
    for reader in (near, far, late):
        await reader.events()
        reader.close()
    assert near.raw == far.raw
    assert far.raw.endswith(late.raw)
    assert text_of(parse(near.raw)) == "hello big world"
    again = await get_events(http, f"{other.url}{STREAMS}/{stream_id}")
    assert again == parse(near.raw), "after the end, too"
    async with http.get(stream_url(other.url, "x"), headers={"Last-Event-ID": again[-1].id}) as response:
        assert response.status == 204
    assert len(upstream.exchanges) == 1


async def test_a_stream_is_stopped_from_any_node(
    start_node: StartNode, upstream: Upstream, tap: Tap, http: aiohttp.ClientSession
) -> None:
    producer, other = await two(start_node, upstream, grace_seconds=60)
    stream_id = await create(http, producer)
    readers = [await attach(server, stream_id) for server in (producer, other)]
    tap("hello ")
    for reader in readers:
        await reader.events(2)
    async with http.delete(f"{other.url}{STREAMS}/{stream_id}") as response:
        assert response.status == 204
    await upstream.all_closed()
    assert (await get_events(http, f"{other.url}{STREAMS}/{stream_id}"))[-1].json()["code"] == "cancelled"
    for reader in readers:
        assert [event.json()["code"] for event in await reader.events()] == ["cancelled"]
        reader.close()
    assert readers[0].raw == readers[1].raw
    async with http.delete(f"{other.url}{STREAMS}/{stream_id}") as response:
        assert response.status == 204, "it had ended before"
    async with http.delete(f"{other.url}{STREAMS}/never-was") as response:
        assert response.status == 404


async def silent(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.closed.wait()


async def test_a_reader_on_another_node_keeps_a_stream_and_its_leaving_ends_it(
    start_node: StartNode, upstream: Upstream, tap: Tap, http: aiohttp.ClientSession
) -> None:
    producer, other = await two(start_node, upstream, attach_seconds=3)
    stream_id = await create(http, producer)
    far, near = await attach(other, stream_id), await attach(producer, stream_id)
    tap("hello ")
    await far.events(2), await near.events(2)
    near.close()
    upstream.script = silent
    unread = await create(http, producer)  # later, and so its deadline is
    assert (await producer.record(unread))["status"] == "cancelled"
    tap("big ")
    assert text_of(await far.events(1)) == "big "
    far.close()
    exchange = await upstream.exchange()
    await exchange.until_closed()
    assert (await producer.record(stream_id))["status"] == "cancelled"


async def test_a_grace_waits_for_a_reader_on_any_node(
    start_node: StartNode, upstream: Upstream, tap: Tap, http: aiohttp.ClientSession
) -> None:
    producer, other = await two(start_node, upstream)
    near = await RawStream.request(producer.port, f"{STREAMS[:-1]}?prompt=x&grace=20")
    await near.head()
    stream_id = near.headers["x-stream-id"]
    tap("hello ")
    await near.events(2)
    near.close()
    far = await attach(other, stream_id, 1)
    tap("world", None)
    assert text_of(await far.events()) == "world"
    far.close()
    assert (await producer.record(stream_id))["status"] == "done"


async def test_a_key_used_on_two_nodes_at_once_starts_one_generation(
    start_node: StartNode, upstream: Upstream, http: aiohttp.ClientSession
) -> None:
    upstream.script = answer("hello ", "world")
    servers = await two(start_node, upstream, grace_seconds=5)
    headers = {"Idempotency-Key": "order-0001"}
    streams = await asyncio.gather(
        *(post_events(http, servers[number % 2].url, BODY, headers=headers) for number in range(16))
    )
    assert all(events == streams[0] for events in streams)
    assert text_of(streams[0]) == "hello world"
    stream_id = streams[0][0].json()["stream_id"]
    for server in servers:
        assert await create(http, server, status=200, headers=headers) == stream_id
        async with http.post(server.url + STREAMS, json={"prompt": "other"}, headers=headers) as response:
            assert response.status == 422
    assert len(upstream.exchanges) == 1


async def test_a_stream_that_is_not_retained_any_more_has_expired_everywhere(
    start_node: StartNode, upstream: Upstream, redis: RedisProcess, http: aiohttp.ClientSession
) -> None:
    upstream.script = answer("hello ", "world")
    producer, other = await two(start_node, upstream, retention_seconds=1)
    events = await get_events(http, stream_url(producer.url))
    stream_id = events[0].json()["stream_id"]
    async with asyncio.timeout(60):
        while any(":log:" in key for key in await redis.keys()):
            await asyncio.sleep(0.05)
    for server in (producer, other):
        async with http.get(f"{server.url}{STREAMS}/{stream_id}") as response:
            assert response.status == 404
        (expired,) = await get_events(http, stream_url(server.url), headers={"Last-Event-ID": events[1].id})
        assert expired.json()["code"] == "stream_expired" and expired.id == f"{stream_id}:end"


async def test_without_retention_a_reader_elsewhere_still_gets_the_end(
    start_node: StartNode, upstream: Upstream, tap: Tap, http: aiohttp.ClientSession
) -> None:
    producer, other = await two(start_node, upstream, retention_seconds=0)
    for _ in range(5):
        stream_id = await create(http, producer)
        far = await attach(other, stream_id)
        tap("hello ", "world", None)
        events = await far.events()
        far.close()
        assert text_of(events) == "hello world" and events[-1].type == "done"


async def test_no_prompt_and_no_key_is_in_redis(
    start_server: StartServer, start_redis: StartRedis, upstream: Upstream, http: aiohttp.ClientSession, tap: Tap
) -> None:
    redis = await start_redis("--rdbcompression", "no")  # a word in what is compressed is not found
    config = {**openai_at(upstream), "resume": {"store": redis.url}, "limits": {"tokens_per_day": 1_000_000}}
    server = await start_server(config, environ={"STREAMSERVER_KEYS": "anna:orange-giraffe"})
    headers = {"Idempotency-Key": "secret-key-0001", "X-API-Key": "orange-giraffe"}
    running = await RawStream.request(server.port, STREAMS[:-1], method="POST", body=PROMPT, headers=headers)
    await running.head()
    tap("hello ", "world")
    await running.events(3)
    await until_stored(redis, running.headers["x-stream-id"], 3)
    found = await everything_in(redis)
    assert b":slots:" in found, "it runs, and its user's limits are counted"
    tap(None)
    await running.events()
    running.close()
    async with asyncio.timeout(60):
        while b":tokens:" not in (after := await everything_in(redis)):
            await asyncio.sleep(0.01)
    found += after
    assert b"hello" in found and b"world" in found and b"anna" in found, "what is there is found"
    for secret in (b"violet-elephant", b"secret-key", b"orange-giraffe"):
        assert secret not in found


async def everything_in(redis: RedisProcess) -> bytes:
    """Return every key that does not expire at this moment, and what it holds."""
    found = b""
    async with Redis.from_url(redis.url) as client:
        for name in await redis.keys():
            value = await client.dump(name)
            assert value is None or await client.pttl(name) != -1, f"{name} stays for ever"
            found += name.encode() + (value or b"")
    return found
