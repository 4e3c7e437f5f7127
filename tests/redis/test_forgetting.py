"""Redis loses data, messages are lost, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack, ExitStack
from typing import TypeVar

import pytest
from redis.asyncio import Redis

from providers.base import Text
from streamserver.core.refusals import Refusal
from streamserver.log.memory import MemoryLog
from streamserver.redis.connection import Command, Replies
from streamserver.redis.inbox import Message, Stop, create_inbox_command, message_command
from streamserver.redis.keys import inbox_key
from streamserver.store.base import Claim, ClaimHolder, StoreUnavailable
from tests.contracts.shared_log import read_all, until
from tests.redis.stores import RedisNode, node_at
from tests.support.proxy import running_proxy
from tests.support.records import DONE
from tests.support.redis import RedisProcess

pytestmark = pytest.mark.each_redis

T = TypeVar("T")
MOST_MESSAGES = 10_000
TRIMMED_BY = 200
"""Redis removes whole nodes of a stream's tree, of a hundred entries each."""


@pytest.fixture
async def near(redis: RedisProcess, stack: AsyncExitStack) -> RedisNode:
    return await node_at(stack, redis.port)


@pytest.fixture
async def far(redis: RedisProcess, stack: AsyncExitStack) -> RedisNode:
    return await node_at(stack, redis.port)


async def turns_of(node: RedisNode) -> None:
    """Wait until Redis has answered ``node`` what it has asked, and asks then."""
    for _ in range(5):
        await node.redis_store._connection.submit(("PING",))


async def not_yet(node: RedisNode, asking: Awaitable[T]) -> asyncio.Future[T]:
    """Have ``node`` ask, and see that what Redis has says nothing to it."""
    asked = asyncio.ensure_future(asking)
    await asyncio.sleep(0)
    await turns_of(node)
    assert not asked.done(), "answered without the data"
    return asked


async def test_a_lookup_waits_for_a_log_that_a_restarted_redis_lacks(
    redis: RedisProcess, stack: AsyncExitStack, far: RedisNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamserver.redis.store.RECOVERY_SECONDS", 30)
    cable = await stack.enter_async_context(running_proxy(redis.port))
    cut_off = await node_at(stack, cable.port)
    log = await cut_off.publish(Claim("key", "print"))
    log.append(Text("hello"))
    log.close(DONE)
    await cut_off.settled()
    cable.refuse()
    epoch = far.redis_store._connection.epoch
    await redis.kill()
    await redis.start()
    await until(lambda: far.redis_store._connection.epoch > epoch)
    found = await not_yet(far, far.store.find(log.stream_id))
    recalled = await not_yet(far, far.store.find_claim("key"))
    cable.accept()
    async with asyncio.timeout(60):
        stream = await found
        assert stream is not None and await read_all(stream.log) == await read_all(log)
        assert await recalled == ClaimHolder(log.stream_id, "print")


async def test_names_that_redis_lost_are_bound_again_to_the_newest_stream(
    redis: RedisProcess, near: RedisNode, far: RedisNode
) -> None:
    streams = [await node.publish(names=["anna's chat", f"resp_{count}"]) for count, node in enumerate((near, far))]
    epochs = [node.redis_store._connection.epoch for node in (near, far)]
    await redis.kill()
    await redis.start()
    for node, epoch in zip((near, far), epochs, strict=True):
        await until(lambda node=node, epoch=epoch: node.redis_store._connection.epoch > epoch)  # type: ignore[misc]
        await node.settled()
    for node in (near, far):
        assert await node.store.lookup("anna's chat") == streams[1].stream_id
        assert await node.store.lookup("resp_0") == streams[0].stream_id
    assert not [key for key in await redis.keys() if "anna" in key or "resp" in key], "names are hashed"


async def test_a_reader_catches_up_when_a_message_about_new_records_is_lost(near: RedisNode, far: RedisNode) -> None:
    log = await near.publish()
    stream = await far.found(log.stream_id)
    with stream.reading():
        await until(lambda: near.readers(log.stream_id) == 1)
        far.redis_store._inbox._receive = lambda _: None
        log.append(Text("hello"))
        await until(lambda: len(stream.log) == 2)


async def test_readers_are_counted_when_a_message_about_them_is_lost(near: RedisNode, far: RedisNode) -> None:
    lost: list[Message] = []
    inbox = near.redis_store._inbox
    receive, inbox._receive = inbox._receive, lost.append
    log = await near.publish()
    with (await far.found(log.stream_id)).reading():
        await until(lambda: bool(lost))
        assert near.readers(log.stream_id) == 0
        inbox._receive = receive
        await until(lambda: near.readers(log.stream_id) == 1)


async def test_a_command_for_an_earlier_connection_is_not_sent(near: RedisNode, redis: RedisProcess) -> None:
    link = near.redis_store._connection
    with pytest.raises(StoreUnavailable):
        await link.submit(("SET", "streamserver:late", "1"), epoch=link.epoch - 1)
    await link.submit(("SET", "streamserver:in-time", "1"), epoch=link.epoch)
    keys = await redis.keys()
    assert "streamserver:in-time" in keys and "streamserver:late" not in keys


async def test_readers_of_another_nodes_stream_are_bounded(near: RedisNode, far: RedisNode) -> None:
    stream = await far.found((await near.publish()).stream_id)
    with ExitStack() as readers:
        for _ in range(20):
            readers.enter_context(stream.reading())
        with pytest.raises(Refusal), stream.reading():
            pass
        assert stream.readers == 20  # type: ignore[attr-defined]


async def test_a_stream_that_this_process_does_not_know_any_more_is_not_its_own(
    near: RedisNode, far: RedisNode
) -> None:
    """Its ending will never be written: a reader would wait for ever."""
    log = await near.publish()
    del near.streams[log.stream_id]
    assert await far.store.find(log.stream_id) is not None
    assert await near.store.find(log.stream_id) is None


async def test_publication_leaves_no_log_behind_when_its_key_is_taken(
    near: RedisNode, far: RedisNode, redis: RedisProcess
) -> None:
    first = await near.publish(Claim("key", "print"))
    second = MemoryLog(far.start())
    assert await far.try_publish(second, Claim("key", "print")) == ClaimHolder(first.stream_id, "print")
    async with asyncio.timeout(60):
        while [key for key in await redis.keys() if ":log:" in key] != [f"streamserver:log:{first.stream_id}"]:
            await asyncio.sleep(0.02)


async def test_an_inbox_that_is_not_read_is_bounded(near: RedisNode, redis: RedisProcess) -> None:
    link = near.redis_store._connection
    async with Redis.from_url(redis.url) as client:
        await link.submit(create_inbox_command("dead"))
        await link.submit(*(message_command("dead", Stop("x")) for _ in range(MOST_MESSAGES + 2 * TRIMMED_BY)))
        assert MOST_MESSAGES <= await client.xlen(inbox_key("dead")) <= MOST_MESSAGES + TRIMMED_BY
        for _ in range(2 * TRIMMED_BY):
            await client.xadd(inbox_key("dead"), {"m": ""})
        await link.submit(create_inbox_command("dead"))
        assert await client.xlen(inbox_key("dead")) <= MOST_MESSAGES + TRIMMED_BY


async def test_a_node_that_just_started_takes_no_redis_for_one_that_lost_data(
    near: RedisNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply to the heartbeat that makes the inbox overtakes that to a query that was sent before."""
    store = near.redis_store
    await until(lambda: store._heartbeat.has_inbox)
    store._heartbeat.has_inbox = False
    execute, lost = store._execute, list[str]()

    async def overtaken(*commands: Command) -> Replies:
        replies = await execute(*commands)
        store._heartbeat.has_inbox = True
        return [*replies[:-1], 0]

    monkeypatch.setattr(store, "_execute", overtaken)
    monkeypatch.setattr(store, "_on_data_lost", lambda: lost.append("data"))
    assert await store.find_claim("key") is None
    assert lost == []
