"""Limits hold over all nodes, and what a dead node's streams occupied comes back by itself."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import aiohttp
import pytest

from streamserver.admission import LimitReached, Quota
from streamserver.admission.redis import RedisLimiter
from streamserver.store.base import StoreUnavailable
from tests.redis.conftest import StartNode
from tests.support.client import RawStream, stream_url
from tests.support.redis import RedisProcess

pytestmark = pytest.mark.each_redis

QUOTA = Quota(max_streams=2, requests_per_minute=1000, tokens_per_day=100)


async def admitted(limiter: RedisLimiter, held: ExitStack, quota: Quota = QUOTA) -> str:
    try:
        await limiter.admit("anna", quota, held)
    except LimitReached as reached:
        return reached.limit
    return "admitted"


async def until_admitted(limiter: RedisLimiter, held: ExitStack) -> None:
    async with asyncio.timeout(20):
        while await admitted(limiter, held) != "admitted":
            await asyncio.sleep(0.02)


async def test_the_slots_of_a_dead_node_come_back_by_themselves(redis: RedisProcess) -> None:
    alive = RedisLimiter(redis.url, lease_seconds=0.6, renew_seconds=0.1)
    dead = RedisLimiter(redis.url, lease_seconds=0.6, renew_seconds=0.1)
    await alive.start()  # the other is as if it had died at once: nothing renews, nothing is given back
    with ExitStack() as lost, ExitStack() as held:
        await dead.admit("anna", QUOTA, lost)
        await alive.admit("anna", QUOTA, held)
        assert await admitted(alive, held) == "streams"
        await until_admitted(alive, held)
        for _ in range(10):
            await asyncio.sleep(0.1)
            assert await admitted(alive, held) == "streams", "what a living node holds stays taken, renewed"
    assert await admitted(alive, held) == "admitted", "given back before the next is taken"
    held.close()
    await alive.aclose()
    await dead.aclose()


async def test_cancelled_takes_take_nothing(redis: RedisProcess) -> None:
    limiter = RedisLimiter(redis.url)
    await limiter.start()

    async def take() -> None:
        with ExitStack() as held:
            await limiter.admit("anna", QUOTA, held)
            await asyncio.sleep(0)

    loop = asyncio.get_running_loop()
    for turns in range(40):
        tasks = [loop.create_task(take()) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    with ExitStack() as held:
        await until_admitted(limiter, held)
        await until_admitted(limiter, held)
        assert await admitted(limiter, held) == "streams"
    await limiter.aclose()
    assert [key for key in await redis.keys() if ":slots:" in key] == []


async def test_tokens_of_all_nodes_are_counted_together(redis: RedisProcess) -> None:
    first, second = RedisLimiter(redis.url), RedisLimiter(redis.url)
    await first.start()
    first.charge("anna", QUOTA, 60)
    second.charge("anna", QUOTA, 60)
    await second.start()
    async with asyncio.timeout(20):
        while True:
            with ExitStack() as held:
                if await admitted(first, held) == "tokens":
                    break
            await asyncio.sleep(0.01)
    await first.aclose()
    await second.aclose()


async def test_without_redis_nothing_is_admitted_and_nothing_is_lost(redis: RedisProcess) -> None:
    limiter = RedisLimiter(redis.url, renew_seconds=0.1)
    await limiter.start()
    with ExitStack() as held:
        await limiter.admit("anna", QUOTA, held)
        await redis.kill()
        with pytest.raises(StoreUnavailable):
            await limiter.admit("anna", QUOTA, held)
        await redis.start()
        async with asyncio.timeout(20):
            while not [key for key in await redis.keys() if ":slots:" in key]:
                await asyncio.sleep(0.02)
        await until_admitted(limiter, held)
        assert await admitted(limiter, held) == "streams", "after a Redis that forgot, what is held is taken again"
    await limiter.aclose()


async def test_a_users_limits_are_one_over_two_nodes(start_node: StartNode, http: aiohttp.ClientSession) -> None:
    config = {
        "providers": {"echo": {"kind": "echo", "hang_after": 1}},
        "limits": {"max_streams_per_user": 2, "requests_per_minute": 5},
    }
    one, two = await start_node(config), await start_node(config)
    for number in range(2):
        streams = [
            await (await RawStream.request(node.port, "/api/chat/stream?prompt=a+b")).head() for node in (one, two)
        ]
        for node in (one, two):
            async with http.get(stream_url(node.url)) as response:
                assert response.status == 429
                assert response.headers["RateLimit-Policy"].startswith('"streams";q=2')
        for stream in streams:
            async with http.delete(f"{one.url}/api/chat/streams/{stream.headers['x-stream-id']}") as response:
                assert response.status == 204
            stream.close()
        async with asyncio.timeout(20):
            while len(one.records()) + len(two.records()) < 2 * (number + 1):
                await asyncio.sleep(0.01)
    statuses: list[int] = []
    async with asyncio.timeout(20):
        while statuses.count(200) < 1 or statuses[-1] != 429:
            async with http.get(stream_url((one, two)[len(statuses) % 2].url)) as response:
                statuses.append(response.status)
    async with http.get(stream_url(one.url)) as response:
        assert response.status == 429
        assert response.headers["RateLimit-Policy"].startswith('"requests";q=5')
