"""One ending for all readers: told once Redis has accepted it, and the same at every node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from providers.base import Text
from streamserver.core.error_codes import failed
from streamserver.log.base import Log
from streamserver.log.records import Failed, Terminal
from streamserver.redis.fences import Fences, fence_command
from streamserver.store.base import Claim, ClaimHolder
from tests.contracts.shared_log import MANY, read_all, until, until_gone
from tests.redis.stores import RedisNode, node_at
from tests.support.proxy import Proxy, running_proxy
from tests.support.records import DONE, START
from tests.support.redis import RedisProcess

pytestmark = pytest.mark.each_redis

LOST = failed("producer_lost", request_id="request-1")


@pytest.fixture
async def cable(redis: RedisProcess) -> AsyncIterator[Proxy]:
    async with running_proxy(redis.port) as proxy:
        yield proxy


@pytest.fixture
async def near(cable: Proxy, stack: AsyncExitStack) -> RedisNode:
    """Return a producer, which can be cut off."""
    return await node_at(stack, cable.port)


@pytest.fixture
async def hasty(cable: Proxy, stack: AsyncExitStack) -> RedisNode:
    """Return a producer that tells its local readers an ending after 10 ms without the store."""
    return await node_at(stack, cable.port, ending_wait_seconds=0.01)


@pytest.fixture
async def far(redis: RedisProcess, stack: AsyncExitStack) -> RedisNode:
    return await node_at(stack, redis.port)


def code_of(log: Log) -> str | None:
    return log.terminal.code if isinstance(log.terminal, Failed) else None


async def fence_elsewhere(far: RedisNode, log: Log) -> None:
    """Have ``far`` read a stream until it takes its producer for dead."""
    stream = await far.found(log.stream_id)
    with stream.reading():
        await until(lambda: stream.ended)
    assert code_of(stream.log) == "producer_lost"


async def test_an_ending_is_hidden_until_redis_has_accepted_it(near: RedisNode, far: RedisNode, cable: Proxy) -> None:
    log = await near.publish()
    log.append(Text("hello"))
    await near.settled()
    closed: list[Terminal] = []
    cable.hold()
    log.close(DONE, closed.append)
    for _ in range(100):
        await asyncio.sleep(0)
    assert log.terminal is None and not closed, "told before the store was asked"
    cable.flow()
    await until(lambda: log.terminal == DONE)
    assert closed == [DONE]
    assert (await far.found(log.stream_id)).log.terminal == DONE, "told before other nodes can read it"


async def test_a_fence_that_was_there_first_is_the_ending_for_the_producer_too(
    near: RedisNode, far: RedisNode, cable: Proxy
) -> None:
    logs = [await near.publish() for _ in range(2)]
    closed: list[Terminal] = []
    cable.refuse()
    logs[0].append(Text("no other node gets this"))
    logs[0].close(DONE, closed.append)
    for log in logs:
        await fence_elsewhere(far, log)
    cable.accept()
    await until(lambda: all(log.terminal is not None for log in logs))
    assert [code_of(log) for log in logs] == ["producer_lost"] * 2
    assert closed == [logs[0].terminal], "the record says what the readers were told"
    assert [near.streams[log.stream_id].lost for log in logs] == [False, True], "one was still being generated"


async def test_local_readers_are_told_an_ending_if_the_store_stays_away(
    hasty: RedisNode, far: RedisNode, cable: Proxy
) -> None:
    log = await hasty.publish()
    cable.refuse()
    log.append(Text("hello"))
    log.close(DONE)
    await until(lambda: log.terminal == DONE)
    cable.accept()
    await hasty.settled()
    assert await read_all((await far.found(log.stream_id)).log) == await read_all(log)


async def test_after_an_outage_every_reader_gets_the_fence_although_others_were_told_another_ending(
    hasty: RedisNode, far: RedisNode, cable: Proxy
) -> None:
    log = await hasty.publish()
    cable.refuse()
    log.close(DONE)
    await until(lambda: log.terminal == DONE)
    await fence_elsewhere(far, log)
    cable.accept()
    await until(lambda: code_of(log) == "producer_lost")
    assert log.take(0, MANY) == [log.start, log.terminal]


async def test_an_ending_that_redis_has_before_a_fence_counts(near: RedisNode, far: RedisNode, cable: Proxy) -> None:
    """The reply to the append was lost, and another node took the producer for dead meanwhile."""
    log = await near.publish()
    log.append(Text("hello"))
    await near.settled()
    link = near.redis_store._connection
    epoch = link.epoch
    cable.hold(answers_only=True)
    log.close(DONE)
    await until_ended(far, log)
    await far.redis_store._connection.submit(fence_command(log.start, LOST, "node", 1.0))
    cable.cut()
    cable.flow()
    await until(lambda: link.epoch > epoch and log.terminal is not None)
    assert log.terminal == DONE == (await far.found(log.stream_id)).log.terminal


async def until_ended(node: RedisNode, log: Log) -> None:
    async with asyncio.timeout(60):
        while not (await node.found(log.stream_id)).ended:
            await asyncio.sleep(0.005)


async def test_a_redis_that_restarts_empty_loses_no_fence(
    near: RedisNode, far: RedisNode, cable: Proxy, redis: RedisProcess, stack: AsyncExitStack
) -> None:
    log = await near.publish()
    other = await near.publish()
    cable.refuse()
    log.append(Text("hello"))
    log.close(DONE)
    await fence_elsewhere(far, log)
    epoch = far.redis_store._connection.epoch
    await redis.kill()
    await redis.start()
    await until(lambda: far.redis_store._connection.epoch > epoch)
    cable.accept()
    await until(lambda: log.terminal is not None)
    assert code_of(log) == "producer_lost"
    late = await node_at(stack, redis.port)
    for node in (far, late):
        stream = await node.found(log.stream_id)
        assert stream.log.start == log.start and stream.log.terminal == log.terminal
    other.close(DONE)
    await until(lambda: other.terminal == DONE)


async def test_a_producer_that_comes_back_first_waits_for_the_fences_of_others(
    near: RedisNode, redis: RedisProcess, cable: Proxy, stack: AsyncExitStack
) -> None:
    """Redis has restarted empty; the node that has seen the fence is not connected to it yet."""
    slow = await stack.enter_async_context(running_proxy(redis.port))
    far = await node_at(stack, slow.port)
    log = await near.publish()
    cable.refuse()
    log.close(DONE)
    await fence_elsewhere(far, log)
    slow.refuse()
    await redis.kill()
    await redis.start()
    epoch = near.redis_store._connection.epoch
    cable.accept()
    await until(lambda: near.redis_store._connection.epoch > epoch)
    await until(lambda: near.redis_store._replicator._logs[log.stream_id].epoch == near.redis_store._connection.epoch)
    assert log.terminal is None
    slow.accept()
    await until(lambda: log.terminal is not None)
    assert code_of(log) == "producer_lost"


@pytest.mark.parametrize("how", ["flushed", "restarted"])
async def test_the_key_of_an_ended_stream_survives_a_redis_that_lost_it(
    near: RedisNode, far: RedisNode, redis: RedisProcess, how: str
) -> None:
    log = await near.publish(Claim("key", "print"), ["name"])
    log.close(DONE)
    await near.settled()
    claimed = ClaimHolder(log.stream_id, "print")
    epoch = far.redis_store._connection.epoch
    if how == "flushed":
        await redis.flush()
        assert await near.store.find_claim("key") == claimed, "its node knows it without Redis"
    else:
        await redis.kill()
        await redis.start()
        await until(lambda: far.redis_store._connection.epoch > epoch)
    assert await far.store.find_claim("key") == claimed
    assert await far.store.lookup("name") == log.stream_id
    assert await read_all((await far.found(log.stream_id)).log) == await read_all(log)


async def test_a_released_key_is_not_claimed_again_when_redis_loses_its_data(
    near: RedisNode, redis: RedisProcess
) -> None:
    log = await near.publish(Claim("key", "print"))
    log.close(DONE)
    await near.settled()
    await near.store.release_claim("key", ClaimHolder(log.stream_id, "print"))
    await redis.flush()
    await until_gone(near.store.find_claim, "key")
    await until(lambda: near.redis_store._recovered_at > 0)
    await near.settled()
    assert await near.store.find_claim("key") is None


def test_a_fence_is_remembered_for_as_long_as_redis_keeps_it() -> None:
    now = 0.0
    fences = Fences(1000, lambda: now)
    fences.remember(START, LOST, "node", 1.0)
    now = 0.5
    assert [stream_id for stream_id, _ in fences] == [START.stream_id]
    now = 1.5
    assert list(fences) == [] and len(fences) == 0
