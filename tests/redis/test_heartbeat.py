"""Heartbeats over a slow way, and an inbox in a Redis that starts anew."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from providers.base import Text
from streamserver.redis.connection import Command, Replies
from streamserver.redis.heartbeat import SYNC_BEATS, Beat
from streamserver.redis.keys import BEAT_SECONDS, HEARTBEAT_LEASE_SECONDS, inbox_key, node_key
from streamserver.redis.pipeline import Pipeline
from tests.contracts.shared_log import read_all, until
from tests.redis.stores import RedisNode, node_at
from tests.support.proxy import running_proxy
from tests.support.records import DONE
from tests.support.redis import RedisProcess

ONE_WAY_SECONDS = 0.6
PIECE = "a thousand characters " * 50


@pytest.mark.parametrize("slow_node", ["producer", "reader", "both"])
async def test_a_slow_way_to_redis_gets_no_node_declared_dead(
    redis: RedisProcess, stack: AsyncExitStack, slow_node: str
) -> None:
    slow = await stack.enter_async_context(running_proxy(redis.port))
    slow.delay_seconds = ONE_WAY_SECONDS
    near = await node_at(stack, redis.port if slow_node == "reader" else slow.port)
    far = await node_at(stack, redis.port if slow_node == "producer" else slow.port)
    log = await near.publish()
    stream = await far.found(log.stream_id)
    loop = asyncio.get_running_loop()
    with stream.reading():
        over = loop.time() + 3 * HEARTBEAT_LEASE_SECONDS
        while loop.time() < over:
            for _ in range(10):
                log.append(Text(PIECE))
            await asyncio.sleep(0.05)
        log.close(DONE)
        assert await read_all(stream.log) == await read_all(log)
    assert not near.streams[log.stream_id].lost


async def test_beats_do_not_wait_for_their_replies_or_for_other_commands(
    redis: RedisProcess, stack: AsyncExitStack
) -> None:
    cable = await stack.enter_async_context(running_proxy(redis.port))
    node = await node_at(stack, cable.port)
    async with Redis.from_url(redis.url) as client:
        first = await beat_of(client, node)
        node.redis_store._connection.submit(("EVAL", "while redis.call('TIME')[1] == ARGV[1] do end", 0, "0"))
        cable.hold(answers_only=True)
        async with asyncio.timeout(60):
            while await beat_of(client, node) < first + 3:
                await asyncio.sleep(BEAT_SECONDS / 5)
        cable.flow()


async def test_lost_beats_have_the_other_connection_probed_at_once(
    redis: RedisProcess, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it has just answered: what cut the one may have cut the other, and nothing may connect for seconds."""
    node = await node_at(stack, redis.port)
    store, never = node.redis_store, asyncio.Event()
    factory, shared = store._factory, store._connection
    await until(lambda: len(factory._open) == 3)
    monkeypatch.setattr(factory, "connect", never.wait)
    submit, probes = shared.submit, list[Command]()

    def record(*commands: Command, epoch: int | None = None) -> asyncio.Future[Replies]:
        probes.extend(commands)
        return submit(*commands, epoch=epoch)

    monkeypatch.setattr(Pipeline, "take_silence", lambda _: False)
    monkeypatch.setattr(shared, "submit", record)
    for connection in list(factory._open):
        if shared._pipeline is not None and connection is not shared._pipeline._connection:
            connection.abort()
    await until(lambda: store._probe in probes)


async def beat_of(client: Redis, node: RedisNode) -> int:
    return int(await client.get(node_key(node.redis_store._node)) or 0)


@pytest.mark.each_redis
async def test_node_receives_messages_when_their_ids_are_lower_than_before(
    redis: RedisProcess, stack: AsyncExitStack
) -> None:
    """As in a Redis that comes back empty with a clock that is behind."""
    near, far = await node_at(stack, redis.port), await node_at(stack, redis.port)
    key = inbox_key(near.redis_store._node)
    async with Redis.from_url(redis.url) as client:
        await client.xadd(key, {"m": b""}, id="99999999999999-0")
        async with asyncio.timeout(60):
            while await client.xlen(key):
                await asyncio.sleep(0.01)
    epochs = [node.redis_store._connection.epoch for node in (near, far)]
    await redis.kill()
    await redis.start()
    for node, epoch in zip((near, far), epochs, strict=True):
        await until(lambda node=node, epoch=epoch: node.redis_store._connection.epoch > epoch)  # type: ignore[misc]
    log = await near.publish()
    stream = await far.found(log.stream_id)
    with stream.reading():
        await until(lambda: near.readers(log.stream_id) == 1)
        await stream.stop()


async def test_all_watched_logs_are_read_again_every_few_beats(
    redis: RedisProcess, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a reader is never later than that, whatever message was lost: this bound is counted in beats."""
    far = await node_at(stack, redis.port)
    heartbeat, events = far.redis_store._heartbeat, list[str]()
    evaluate, wake_all = heartbeat._evaluate, heartbeat._replicas.wake_all

    def on_beat(beat: Beat, replies: Replies) -> None:
        events.append("beat")
        evaluate(beat, replies)

    def on_sync() -> None:
        events.append("sync")
        wake_all()

    monkeypatch.setattr(heartbeat, "_evaluate", on_beat)
    monkeypatch.setattr(heartbeat._replicas, "wake_all", on_sync)
    await until(lambda: events.count("sync") == 3)
    between = events[events.index("sync") + 1 : len(events) - events[::-1].index("sync")]
    assert between == (["beat"] * SYNC_BEATS + ["sync"]) * 2
