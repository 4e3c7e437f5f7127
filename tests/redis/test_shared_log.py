"""The shared log's contract, over memory and over Redis; and over a Redis that fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from providers.base import Text
from streamserver.core.error_codes import failed
from streamserver.log.codec import encode
from streamserver.log.memory import MemoryLog
from streamserver.log.records import Failed
from streamserver.redis._redis_py import is_out_of_order
from streamserver.redis.connection import Packed
from streamserver.redis.keys import FENCE, HEARTBEAT_LEASE_SECONDS, log_key
from streamserver.redis.pipeline import Fail, Receive
from streamserver.redis.replicas import ReplicaLog
from streamserver.redis.store import RedisStore
from streamserver.store import Claim, MemoryStore, StoreLost, StoreUnavailable
from tests.contracts.log import LogContract, MakeLog
from tests.contracts.shared_log import Pair, SharedLogContract, read_all, until, until_gone
from tests.redis.stores import node_at
from tests.support.nodes import Node
from tests.support.proxy import Proxy, running_proxy
from tests.support.records import DONE, START
from tests.support.redis import RedisProcess


class TestReplicaLog(LogContract):
    """A copy keeps what any log keeps."""

    @pytest.fixture
    def make_log(self) -> MakeLog:
        return ReplicaLog


class TestMemory(SharedLogContract):
    """A node that is alone is its own other node."""

    @pytest.fixture
    async def pair(self) -> Pair:
        node = await Node(MemoryStore()).begin()
        return Pair(node, node)


@pytest.mark.each_redis
class TestRedis(SharedLogContract):
    @pytest.fixture
    async def pair(self, redis: RedisProcess, stack: AsyncExitStack) -> Pair:
        return Pair(await node_at(stack, redis.port), await node_at(stack, redis.port))


class TestTroubledRedis:
    """Faults between a node and Redis, and in Redis."""

    @pytest.fixture
    async def cable(self, redis: RedisProcess) -> AsyncIterator[Proxy]:
        async with running_proxy(redis.port) as proxy:
            yield proxy

    @pytest.fixture
    async def pair(self, redis: RedisProcess, cable: Proxy, stack: AsyncExitStack) -> Pair:
        return Pair(await node_at(stack, cable.port), await node_at(stack, cable.port))

    @pytest.mark.parametrize("seed", range(3))
    async def test_over_cuts_holds_and_restarts_every_record_arrives_once(
        self, pair: Pair, cable: Proxy, redis: RedisProcess, seed: int
    ) -> None:
        chance = random.Random(seed)
        logs = [await pair.near.publish() for _ in range(5)]
        streams = [await pair.far.found(log.stream_id) for log in logs]

        async def write() -> None:
            for number in range(600):
                for log in logs:
                    log.append(Text(f"{number} "))
                await asyncio.sleep(0.005)
            for log in logs:
                log.close(DONE)

        async def trouble() -> None:
            for _ in range(6):
                await asyncio.sleep(chance.uniform(0.05, 0.5))
                match chance.randrange(3):
                    case 0:
                        cable.cut()
                    case 1:
                        cable.hold()
                        await asyncio.sleep(chance.uniform(0.05, 0.4))
                        cable.flow()
                    case 2:
                        await redis.kill()
                        await asyncio.sleep(chance.uniform(0, 0.3))
                        await redis.start()

        async with AsyncExitStack() as readers:
            for stream in streams:
                readers.enter_context(stream.reading())
            *seen, _, _ = await asyncio.gather(*(read_all(stream.log) for stream in streams), write(), trouble())
        for log, records in zip(logs, seen, strict=True):
            assert records == await read_all(log)

    async def test_a_question_fails_and_does_not_hang_while_redis_is_away(self, pair: Pair, cable: Proxy) -> None:
        log = await pair.near.publish()
        cable.refuse()
        async with asyncio.timeout(60):
            for ask in (
                lambda: pair.near.try_publish(MemoryLog(pair.near.start()), None),
                lambda: pair.far.store.find(log.stream_id),
                lambda: pair.far.store.find_claim("key"),
            ):
                while True:  # until it has noticed
                    try:
                        await ask()
                    except StoreUnavailable:
                        break
        cable.accept()
        async with asyncio.timeout(60):
            await pair.far.store.wait_available()
            assert await pair.far.store.find(log.stream_id) is not None

    @pytest.mark.parametrize("setting", [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")])
    async def test_a_redis_that_rejects_writes_kills_no_node_and_drops_no_reader(
        self, pair: Pair, redis: RedisProcess, setting: tuple[str, str, str]
    ) -> None:
        """It is full, or misses its replicas: it answers, and shows everyone's last heartbeat for ever."""
        name, closed, open_ = setting
        logs = [await pair.near.publish() for _ in range(3)]
        streams = [await pair.far.found(log.stream_id) for log in logs]
        async with AsyncExitStack() as readers:
            for stream in streams:
                readers.enter_context(stream.reading())
            await until(lambda: all(pair.near.readers(log.stream_id) for log in logs))
            await redis.configure(name, closed)
            over = asyncio.get_running_loop().time() + 2 * HEARTBEAT_LEASE_SECONDS + 1
            while asyncio.get_running_loop().time() < over:
                logs[0].append(Text("meanwhile "))
                assert all(pair.near.readers(log.stream_id) == 1 for log in logs), "they read it still"
                await asyncio.sleep(0.05)
            await redis.configure(name, open_)
            for log in logs:
                log.append(Text("after"))
                log.close(DONE)
            for log, stream in zip(logs, streams, strict=True):
                assert await read_all(stream.log) == await read_all(log)
        assert not any(stream.lost for stream in pair.near.streams.values())

    @pytest.mark.each_redis
    async def test_an_end_at_the_fence_is_taken_once_and_refuses_what_follows(
        self, pair: Pair, cable: Proxy, redis: RedisProcess, stack: AsyncExitStack
    ) -> None:
        log = await pair.near.publish()
        log.append(Text("hello "))
        await pair.near.settled()
        others = [pair.far, await node_at(stack, redis.port)]
        link = others[1].store._connection  # type: ignore[attr-defined]
        for _ in range(2):
            replies = await link.submit(
                ("XADD", log_key(log.stream_id), FENCE, "r", _lost()), ("XADD", log_key(log.stream_id), "3-0", "r", b"")
            )
        assert all(isinstance(reply, ResponseError) and is_out_of_order(reply) for reply in replies)
        log.append(Text("too late"))
        await until(lambda: pair.near.streams[log.stream_id].lost)
        for node in others:
            stream = await node.found(log.stream_id)
            whole = await read_all(stream.log)
            assert whole[1:-1] == [Text("hello ")] and isinstance(whole[-1], Failed)
            assert whole[-1].code == "producer_lost"

    async def test_a_log_that_vanished_while_its_producer_lives_has_expired(self, pair: Pair) -> None:
        log = await pair.near.publish()
        stream = await pair.far.found(log.stream_id)
        with stream.reading():
            pair.near.forget(log.stream_id)
            last = (await read_all(stream.log))[-1]
        assert isinstance(last, Failed) and last.code == "stream_expired"

    @pytest.mark.parametrize("how", ["away", "read-only"])
    async def test_a_log_that_is_forgotten_while_redis_rejects_writes_expires_afterwards(
        self,
        pair: Pair,
        cable: Proxy,
        redis: RedisProcess,
        stack: AsyncExitStack,
        monkeypatch: pytest.MonkeyPatch,
        how: str,
    ) -> None:
        """Its ending never got there: a reader that finds the rest would wait for it for ever."""
        monkeypatch.setattr("streamserver.redis.replicator.LOG_LINGER_SECONDS", 0.2)
        store = pair.near.store
        assert isinstance(store, RedisStore)
        node = await node_at(stack, redis.port)
        log = await pair.near.publish()
        stream = await node.found(log.stream_id)
        with stream.reading():
            if how == "away":
                cable.refuse()
            else:
                await redis.configure("min-replicas-to-write", "1")
            log.close(DONE)
            pair.near.forget(log.stream_id)
            await until(lambda: len(store._replicator) == 0)  # until then it may still be written
            cable.accept()
            await redis.configure("min-replicas-to-write", "0")
            last = (await read_all(stream.log))[-1]
        assert isinstance(last, Failed) and last.code == "stream_expired"
        assert log_key(log.stream_id) not in await redis.keys()
        assert len(store._outbox) == 0

    async def test_reader_is_told_to_retry_when_the_start_of_its_stream_is_given_up(
        self, pair: Pair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It had its key already; its client was cut before it was told the id."""
        assert isinstance(pair.near.store, RedisStore)
        link, log, loop = pair.near.store._connection, MemoryLog(pair.near.start()), asyncio.get_running_loop()
        submit = link.submit_packed

        def unanswered(packed: Packed, *, epoch: int | None = None) -> asyncio.Future[Any]:
            answer = submit(packed, epoch=epoch)
            if log_key(log.stream_id).encode() not in packed.data:
                return answer
            monkeypatch.undo()
            return loop.create_future()

        monkeypatch.setattr(link, "submit_packed", unanswered)
        starting = loop.create_task(pair.near.try_publish(log, Claim("key", "print")))
        while await pair.far.store.find_claim("key") is None:
            await asyncio.sleep(0)
        stream = await pair.far.found(log.stream_id)
        with stream.reading():
            starting.cancel()
            last = (await read_all(stream.log))[-1]
        assert isinstance(last, Failed) and last.retryable and len(stream.log) == 2
        await until_gone(pair.near.store.find, log.stream_id)

    @pytest.mark.parametrize("spoiled", ["entry", "key"])
    async def test_a_log_that_cannot_be_read_keeps_no_other_from_being_read(
        self, pair: Pair, redis: RedisProcess, monkeypatch: pytest.MonkeyPatch, spoiled: str
    ) -> None:
        """An entry by a later version, as during an upgrade node by node; a key that another program has taken."""
        logs = [await pair.near.publish() for _ in range(5)]
        async with AsyncExitStack() as readers, Redis.from_url(redis.url) as client:
            streams = [await pair.far.found(log.stream_id) for log in logs]
            for stream in streams:
                readers.enter_context(stream.reading())
            key = log_key(logs.pop(0).stream_id)
            streams.pop(0)
            if spoiled == "entry":
                await client.xadd(key, {"r": b"\x91\x92\xa1z\x01"}, id="2-0")
            else:
                await client.set(key, "taken")
            asked = [count_batches(node, monkeypatch) for node in (pair.near, pair.far)]
            pair.near.streams[key.rpartition(":")[2]].log.append(Text("never arrives"))
            for number in range(100):
                for log in logs:
                    log.append(Text(f"{number} "))
                await asyncio.sleep(0.01)
            for log in logs[1:]:
                log.close(DONE)
            await streams[0].stop()
            for log, stream in zip(logs, streams, strict=True):
                assert await read_all(stream.log) == await read_all(log)
        assert max(map(len, asked)) < 1500, "the same question is not repeated without end"

    async def test_a_message_that_cannot_be_read_keeps_no_other_from_being_read(
        self, pair: Pair, redis: RedisProcess
    ) -> None:
        log = await pair.near.publish()
        inboxes = [key for key in await redis.keys() if ":inbox:" in key]
        async with Redis.from_url(redis.url) as client:
            for key in inboxes:
                await client.xadd(key, {"m": b"\xff", "more": "fields"})
                await client.xadd(key, {"m": b"\x81\xa4type\xa5Later"})
        stream = await pair.far.found(log.stream_id)
        with stream.reading():
            await until(lambda: pair.near.readers(log.stream_id) == 1)
            await stream.stop()

    async def test_messages_are_deleted_when_they_have_been_read(self, pair: Pair, redis: RedisProcess) -> None:
        log = await pair.near.publish()
        stream = await pair.far.found(log.stream_id)
        with stream.reading():
            await until(lambda: pair.near.readers(log.stream_id) == 1)
            for number in range(300):
                log.append(Text(f"{number} "))
                await asyncio.sleep(0.002)
            log.close(DONE)
            await read_all(stream.log)
        async with Redis.from_url(redis.url) as client, asyncio.timeout(60):
            while max([await client.xlen(key) for key in await redis.keys() if ":inbox:" in key]) > 5:
                await asyncio.sleep(0.05)

    async def test_a_replica_is_dropped_when_it_is_not_read_any_more(self, pair: Pair) -> None:
        for _ in range(200):
            log = await pair.near.publish()
            with (await pair.far.found(log.stream_id)).reading():
                log.append(Text("a"))
            log.close(DONE)
            pair.near.forget(log.stream_id)
        store = pair.near.store
        assert isinstance(store, RedisStore) and isinstance(pair.far.store, RedisStore)
        await until(lambda: not pair.far.store._replicas._streams)  # type: ignore[attr-defined]
        await until(lambda: len(store._replicator) == 0 and not store._remote_readers.counts)


async def test_readers_are_sent_away_from_a_log_that_cannot_go_on_and_may_come_back() -> None:
    log = ReplicaLog(START)
    woken = asyncio.Event()
    log.subscribe(woken.set)
    log.disconnect_readers()
    await asyncio.wait_for(woken.wait(), 60)
    with pytest.raises(StoreLost):
        log.subscribe(woken.set)
    log.resume()
    again = asyncio.Event()
    log.subscribe(again.set)
    log.append(Text("a"))
    await asyncio.wait_for(again.wait(), 60)


def _lost() -> bytes:
    return encode([failed("producer_lost", request_id="request-1")])


def count_batches(node: Node, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what the node asks of Redis from now on: the number of commands of each time."""
    assert isinstance(node.store, RedisStore)
    counts: list[int] = []
    submit, send = node.store._connection.submit_packed, node.store._connection.send

    def counted(packed: Packed, *, epoch: int | None = None) -> asyncio.Future[Any]:
        counts.append(packed.reply_count)
        return submit(packed, epoch=epoch)

    def sent(packed: Packed, receive: Receive, fail: Fail, *, epoch: int) -> None:
        counts.append(packed.reply_count)
        send(packed, receive, fail, epoch=epoch)

    monkeypatch.setattr(node.store._connection, "submit_packed", counted)
    monkeypatch.setattr(node.store._connection, "send", sent)
    return counts
