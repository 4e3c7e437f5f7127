"""Limits over all nodes, in Redis."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import msgspec
import pytest
from loguru import logger
from redis.asyncio import Redis

from streamserver.admission import Quota, QuotaExhausted
from streamserver.core.resources import Resources
from streamserver.redis import leases
from streamserver.redis.connection import Command, Packed, Replies, SharedConnection
from streamserver.redis.limit_keys import slots_key, starts_key, tokens_key
from streamserver.redis.limiter import RedisLimiter
from streamserver.store.base import StoreUnavailable
from tests.redis.conftest import StartNode
from tests.support.client import RawStream, stream_url
from tests.support.redis import RedisProcess

pytestmark = pytest.mark.each_redis

QUOTA = Quota(max_streams=2, requests_per_minute=1000, tokens_per_day=100)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Return the messages that are logged about limits and crashes."""
    found: list[str] = []
    sink = logger.add(
        lambda message: found.append(message.record["message"]),
        filter=lambda record: record["extra"].get("event") in ("limits", "crash"),
    )
    yield found
    logger.remove(sink)


async def admitted(limiter: RedisLimiter, resources: Resources, quota: Quota = QUOTA) -> str:
    try:
        await limiter.admit("anna", quota, resources)
    except QuotaExhausted as reached:
        return reached.limit
    return "admitted"


async def until_admitted(limiter: RedisLimiter, resources: Resources, quota: Quota = QUOTA) -> None:
    async with asyncio.timeout(60):
        while await admitted(limiter, resources, quota) != "admitted":
            await asyncio.sleep(0.02)


async def last_lease(redis: RedisProcess) -> float:
    """Return when the last of anna's leases lapses, in milliseconds of Redis' clock."""
    async with Redis.from_url(redis.url) as client:
        slots: Any = await client.zrevrange(slots_key("anna"), 0, 0, withscores=True)
        return float(slots[0][1])


async def redis_time(redis: RedisProcess) -> float:
    async with Redis.from_url(redis.url) as client:
        seconds, micros = await client.time()
        return float(seconds * 1000 + micros / 1000)


async def test_slots_are_free_again_when_the_leases_of_a_dead_node_lapse(redis: RedisProcess) -> None:
    alive = RedisLimiter(redis.url, lease_seconds=2, renew_seconds=0.1)
    dead = RedisLimiter(redis.url, lease_seconds=2, renew_seconds=60)  # never renews, like a node that died
    await alive.start()
    await dead.start()
    with Resources() as lost, Resources() as resources:
        await dead.admit("anna", QUOTA, lost)
        await alive.admit("anna", QUOTA, resources)
        assert await admitted(alive, resources) == "streams"
        await until_admitted(alive, resources)
        assert await admitted(alive, resources) == "streams"
        lapses = await last_lease(redis)
        while await redis_time(redis) <= lapses:
            assert await admitted(alive, resources) == "streams", "a living node renews its leases"
            await asyncio.sleep(0.02)
        assert await admitted(alive, resources) == "streams"
    assert await admitted(alive, resources) == "admitted", "a release is carried out before the next admission"
    resources.close()
    await alive.aclose()
    await dead.aclose()


async def test_admit_holds_nothing_when_it_is_cancelled_at_any_point(redis: RedisProcess) -> None:
    limiter = RedisLimiter(redis.url)
    await limiter.start()

    async def take() -> None:
        with Resources() as resources:
            await limiter.admit("anna", QUOTA, resources)
            await asyncio.sleep(0)

    loop = asyncio.get_running_loop()
    for turns in range(40):
        tasks = [loop.create_task(take()) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    with Resources() as resources:
        await until_admitted(limiter, resources)
        await until_admitted(limiter, resources)
        assert await admitted(limiter, resources) == "streams"
    await limiter.aclose()
    assert [key for key in await redis.keys() if ":slots:" in key] == []


async def test_admit_is_one_round_trip_and_two_commands_with_its_release(redis: RedisProcess) -> None:
    limiter = RedisLimiter(redis.url)
    await limiter.start()
    await limiter._connection.wait_connected()
    async with Redis.from_url(redis.url) as client:
        before = await client.info("commandstats")
        for _ in range(10):
            with Resources() as resources:
                await limiter.admit("anna", QUOTA, resources)
        await limiter._connection.execute(("PING",))
        after = await client.info("commandstats")

    def calls(name: str) -> int:
        return int(after.get(name, {"calls": 0})["calls"]) - int(before.get(name, {"calls": 0})["calls"])

    assert (calls("cmdstat_eval"), calls("cmdstat_zrem"), calls("cmdstat_get")) == (10, 10, 10)
    await limiter.aclose()


async def test_an_admission_is_answered_as_expected(redis: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then its reply is not parsed."""
    limiter = RedisLimiter(redis.url)
    await limiter.start()
    results: list[Replies | None] = []
    execute = limiter._connection.execute

    async def record(*commands: Command, expected: bytes | None = None) -> Replies | None:
        results.append(await execute(*commands, expected=expected))
        return results[-1]

    monkeypatch.setattr(limiter._connection, "execute", record)
    with Resources() as resources:
        found = [await admitted(limiter, resources) for _ in range(3)]
    await limiter.aclose()
    assert found == ["admitted", "admitted", "streams"]
    assert results[:3] == [None, None, [[b"streams", 1000]]]


async def test_tokens_of_all_nodes_are_added_up(redis: RedisProcess) -> None:
    first, second = RedisLimiter(redis.url), RedisLimiter(redis.url)
    await first.start()
    first.charge("anna", QUOTA, 60)
    second.charge("anna", QUOTA, 60)
    await second.start()
    async with asyncio.timeout(60):
        while True:
            with Resources() as resources:
                if await admitted(first, resources) == "tokens":
                    break
            await asyncio.sleep(0.01)
    await first.aclose()
    await second.aclose()


async def test_admit_fails_while_redis_is_away_and_leases_are_restored_when_it_returns_empty(
    redis: RedisProcess,
) -> None:
    limiter = RedisLimiter(redis.url, renew_seconds=0.1)
    await limiter.start()
    with Resources() as resources:
        await limiter.admit("anna", QUOTA, resources)
        await redis.kill()
        with pytest.raises(StoreUnavailable):
            await limiter.admit("anna", QUOTA, resources)
        await redis.start()
        async with asyncio.timeout(60):
            while not [key for key in await redis.keys() if ":slots:" in key]:
                await asyncio.sleep(0.02)
        await until_admitted(limiter, resources)
        assert await admitted(limiter, resources) == "streams", "held slots are taken again in a Redis that lost them"
    await limiter.aclose()


async def test_concurrent_admissions_share_one_connection(redis: RedisProcess) -> None:
    limiter = RedisLimiter(redis.url)
    await limiter.start()
    quota = Quota(max_streams=500, requests_per_minute=500, tokens_per_day=100)
    with Resources() as resources:
        results = await asyncio.gather(*(admitted(limiter, resources, quota) for _ in range(501)))
        assert sorted(results) == ["admitted"] * 500 + ["streams"]
        assert await redis.connections() == 2, "the limiter's and this test's"
    await limiter.aclose()


async def test_admit_succeeds_across_a_restart_of_redis(redis: RedisProcess) -> None:
    limiter = RedisLimiter(redis.url)
    await limiter.start()
    quota = Quota(max_streams=500, requests_per_minute=500, tokens_per_day=100)
    with Resources() as resources:
        for _ in range(3):
            await asyncio.gather(*(limiter.admit("anna", quota, resources) for _ in range(20)))
            await redis.kill()
            await redis.start()
        await limiter.admit("anna", quota, resources)
    await limiter.aclose()


def lose_replies(monkeypatch: pytest.MonkeyPatch, connection: SharedConnection) -> None:
    """Lose the reply to every other batch of commands, all of which Redis carries out."""
    submit, lose = connection.submit_packed, itertools.cycle([True, False])

    def submit_and_lose(packed: Packed, *, epoch: int | None = None) -> asyncio.Future[Any]:
        answered = submit(packed, epoch=epoch)
        if not next(lose):
            return answered
        lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answered.add_done_callback(lambda _: lost.set_exception(StoreUnavailable()))
        return lost

    monkeypatch.setattr(connection, "submit_packed", submit_and_lose)


async def test_starts_and_tokens_count_once_when_replies_are_lost(
    redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = RedisLimiter(redis.url, renew_seconds=0.05)
    await limiter.start()
    await limiter._connection.wait_connected()
    lose_replies(monkeypatch, limiter._connection._connection)
    quota = Quota(max_streams=1, requests_per_minute=3, tokens_per_day=0)
    for _ in range(3):
        with Resources() as resources:
            await until_admitted(limiter, resources, quota)
    with Resources() as resources:
        assert await admitted(limiter, resources, quota) == "requests"
    for _ in range(10):
        limiter.charge("anna", QUOTA, 2)
    async with asyncio.timeout(60):
        while limiter._charges.unconfirmed:
            await asyncio.sleep(0.01)
    monkeypatch.undo()
    assert await limiter._connection.execute(("GET", tokens_key("anna"))) == [b"20"]
    await limiter.aclose()


async def test_admissions_that_fail_while_redis_is_away_use_no_memory_and_are_logged_once(
    redis: RedisProcess, logged: list[str]
) -> None:
    limiter = RedisLimiter(redis.url, renew_seconds=0.05)
    await limiter.start()
    with Resources() as resources:
        await limiter.admit("anna", QUOTA, resources)
        await redis.kill()
        for _ in range(2000):
            with pytest.raises(StoreUnavailable):
                await limiter.admit("anna", QUOTA, resources)
            limiter.charge("anna", QUOTA, 1)
        assert limiter._leases.unconfirmed <= 2, "the slot and the start that were being counted"
        assert limiter._charges.unconfirmed <= 1, "one user"
    assert logged == ["the store cannot be reached"]
    await limiter.aclose()


async def test_slots_are_released_when_redis_accepts_writes_again(redis: RedisProcess, logged: list[str]) -> None:
    limiter = RedisLimiter(redis.url, renew_seconds=0.05)
    await limiter.start()
    with Resources() as resources:
        await limiter.admit("anna", QUOTA, resources)
        await redis.configure("min-replicas-to-write", "1")
        for _ in range(5):
            with pytest.raises(StoreUnavailable):
                await limiter.admit("anna", QUOTA, resources)
    assert limiter._leases.unconfirmed
    await redis.configure("min-replicas-to-write", "0")
    async with asyncio.timeout(60):
        while limiter._leases.unconfirmed:
            await asyncio.sleep(0.01)
    assert [key for key in await redis.keys() if ":slots:" in key] == []
    assert logged == ["the store rejected a command of the limits"]
    await limiter.aclose()


async def test_a_changed_quota_continues_from_what_was_used(redis: RedisProcess) -> None:
    limiter = RedisLimiter(redis.url)
    await limiter.start()
    with Resources() as resources:
        for starts in (3, 2, 4):
            quota = Quota(max_streams=99, requests_per_minute=starts, tokens_per_day=0)
            for _ in range(3 if starts == 3 else 0):
                await limiter.admit("anna", quota, resources)
            if starts == 4:
                await limiter.admit("anna", quota, resources)
            with pytest.raises(QuotaExhausted) as refused:
                await limiter.admit("anna", quota, resources)
            assert refused.value.limit == "requests"
            assert 40 < refused.value.retry_after <= 60
            limiter.refund_start("anna")
            limiter.refund_start("anna")
            for _ in range(2):
                await limiter.admit("anna", msgspec.structs.replace(quota, requests_per_minute=9), resources)
    await limiter.aclose()


async def test_retry_after_is_when_enough_starts_have_left_the_window(redis: RedisProcess) -> None:
    limiter = RedisLimiter(redis.url)
    await limiter.start()
    now_ms = time.time() * 1000
    for ago in (50, 30, 10):
        await limiter._connection.execute(("ZADD", starts_key("anna"), str(now_ms - ago * 1000), f"{ago}"))
    with Resources() as resources:
        for starts, retry_after in ((3, 10), (2, 30), (1, 50)):
            quota = Quota(max_streams=99, requests_per_minute=starts, tokens_per_day=0)
            with pytest.raises(QuotaExhausted) as refused:
                await limiter.admit("anna", quota, resources)
            assert retry_after - 5 < refused.value.retry_after <= retry_after + 0.1
    await limiter.aclose()


async def test_slots_released_while_redis_is_away_are_free_when_it_returns(
    redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "MAX_REMOVALS", 2)
    limiter = RedisLimiter(redis.url, renew_seconds=60)
    await limiter.start()
    quota = Quota(max_streams=99, requests_per_minute=99, tokens_per_day=0)
    with Resources() as resources:
        for _ in range(5):
            await limiter.admit("anna", quota, resources)
        await redis.kill()
        with pytest.raises(StoreUnavailable):
            await limiter.admit("anna", quota, resources)
    assert limiter._leases.unconfirmed == 7, "five slots, and a slot and a start that may have been counted"
    await redis.start()
    async with asyncio.timeout(60):
        while limiter._leases.unconfirmed:
            await asyncio.sleep(0.01)
    await limiter.aclose()


@pytest.mark.parametrize("at_a_time", [1, 100])
async def test_concurrent_requests_with_one_idempotency_key_are_one_start_at_any_node(
    start_node: StartNode, http: aiohttp.ClientSession, at_a_time: int
) -> None:
    rounds = 8
    config = {"limits": {"max_streams_per_user": at_a_time, "requests_per_minute": rounds}}
    nodes = [await start_node(config), await start_node(config)]

    async def ask(url: str, key: str) -> tuple[int, str | None]:
        headers = {"Idempotency-Key": key}
        async with http.post(f"{url}/api/chat/stream", json={"prompt": "a b", "grace": 5}, headers=headers) as response:
            await response.read()
            return response.status, response.headers.get("X-Stream-ID")

    for number in range(rounds):
        answers = await asyncio.gather(*(ask(node.url, f"the-key-{number}") for node in nodes * 2))
        assert len(set(answers)) == 1, answers
        assert answers[0][0] == 200
        async with asyncio.timeout(60):
            while sum(len(node.records()) for node in nodes) < number + 1:
                await asyncio.sleep(0.01)
    for node in nodes:
        assert (await ask(node.url, "another-key"))[0] == 429, "each key was one start"


async def test_two_nodes_share_the_limits_of_a_user(
    redis: RedisProcess, start_node: StartNode, http: aiohttp.ClientSession
) -> None:
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
        async with asyncio.timeout(60):
            while len(one.records()) + len(two.records()) < 2 * (number + 1):
                await asyncio.sleep(0.01)
    statuses: list[int] = []
    async with asyncio.timeout(60):
        while statuses.count(200) < 1 or statuses[-1] != 429:
            async with http.get(stream_url((one, two)[len(statuses) % 2].url)) as response:
                statuses.append(response.status)
    async with http.get(stream_url(one.url)) as response:
        assert response.status == 429
        assert response.headers["RateLimit-Policy"].startswith('"requests";q=5')
    assert await redis.connections() == 2 * 4 + 1, "those that docs/deployment.md names, and this test's"
