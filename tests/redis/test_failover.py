"""A replica is promoted, and the address leads to it: no connection stays with the old primary."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from providers.base import Text
from streamserver.log.base import Log
from streamserver.log.memory import MemoryLog
from streamserver.redis.retrying_connection import RetryingConnection
from streamserver.store.base import Claim, StoreUnavailable
from tests.contracts.shared_log import read_all, until
from tests.redis.conftest import StartRedis
from tests.redis.stores import RedisNode, node_at
from tests.support.proxy import running_proxy
from tests.support.records import DONE
from tests.support.redis import RedisProcess

pytestmark = pytest.mark.each_redis

WRITE = ("EVAL", "return redis.call('SET', KEYS[1], '1', 'PX', 1000)", 1, "streamserver:limits:test")


@pytest.fixture
async def replica(start_redis: StartRedis, redis: RedisProcess) -> RedisProcess:
    replica = await start_redis("--replicaof", f"127.0.0.1 {redis.port}", "--repl-diskless-sync-delay", "0")
    async with Redis.from_url(replica.url) as client, asyncio.timeout(60):
        while (await client.info("replication"))["master_link_status"] != "up":
            await asyncio.sleep(0.02)
    return replica


async def promote(replica: RedisProcess, old: RedisProcess) -> None:
    """Make the replica the primary; the old one goes on as its replica, and keeps its connections."""
    async with Redis.from_url(replica.url) as new_client, Redis.from_url(old.url) as old_client:
        await new_client.replicaof("NO", "ONE")
        await old_client.replicaof("127.0.0.1", replica.port)


async def publish(node: RedisNode, claim: Claim) -> Log:
    """Publish a stream as clients do that are told to come again."""
    async with asyncio.timeout(60):
        while True:
            log = MemoryLog(node.start())
            try:
                assert await node.try_publish(log, claim) is None
            except StoreUnavailable:
                await asyncio.sleep(0.02)
            else:
                return log


async def test_after_a_failover_every_connection_goes_to_the_new_primary(
    redis: RedisProcess, replica: RedisProcess, stack: AsyncExitStack
) -> None:
    relay = await stack.enter_async_context(running_proxy(redis.port))
    near, far = await node_at(stack, relay.port), await node_at(stack, relay.port)
    limits = RetryingConnection(f"redis://127.0.0.1:{relay.port}/0", lambda: None)
    limiting = asyncio.get_running_loop().create_task(limits.run())
    await limits.wait_connected()
    running = await near.publish()
    stream = await far.found(running.stream_id)
    stack.enter_context(stream.reading())
    before = near.redis_store._connection.epoch

    relay.targets = [replica.port]  # for new connections; those that are open stay where they are
    await promote(replica, redis)

    await until(lambda: near.redis_store._connection.epoch > before)
    started = [await publish(node, Claim(f"key {number}", "print")) for number, node in enumerate((near, far))]
    for log, reader in zip(started, (far, near), strict=True):
        there = await reader.found(log.stream_id)
        with there.reading():
            log.append(Text("hello"))
            log.close(DONE)
            assert await read_all(there.log) == await read_all(log)
    running.append(Text("went on"))
    await stream.stop()  # by a message to the inbox of the producer
    assert await read_all(stream.log) == await read_all(running)
    async with asyncio.timeout(60):
        while True:
            try:
                await limits.execute(WRITE)
                break
            except StoreUnavailable:
                await asyncio.sleep(0.02)
    assert not near.streams[running.stream_id].lost
    async with asyncio.timeout(60):
        while await redis.connections_of_clients() > 1:  # this test's
            await asyncio.sleep(0.02)
    limiting.cancel()


async def test_a_node_waits_for_a_primary_while_the_address_leads_to_a_replica(
    replica: RedisProcess, redis: RedisProcess, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamserver.redis.store.STORE_START_SECONDS", 0.5)
    node = await node_at(stack, replica.port)
    with pytest.raises(StoreUnavailable):
        await node.try_publish(MemoryLog(node.start()), None)
    assert node.store.ready() == "the store refuses SET: READONLY"
    await promote(replica, redis)
    await publish(node, Claim("key", "print"))
    await until(lambda: node.store.ready() is None)
