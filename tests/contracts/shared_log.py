"""What a log has to keep for readers on other nodes: the guarantees of :class:`streamserver.store.base.Store`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.base import Delta, Text
from streamserver.log.base import Log
from streamserver.log.memory import MemoryLog
from streamserver.log.records import Record
from streamserver.store.base import Claim, ClaimHolder
from streamserver.wire.native import NativeEncoder
from tests.support.nodes import Node
from tests.support.properties import examples
from tests.support.records import DONE, FAILED, deltas

MANY = 10_000
WAIT_SECONDS = 60.0

over_fixtures = settings(
    # Every test runs on its fixture's pair, memory's or Redis's; that these differ is the point.
    examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


@dataclass
class Pair:
    """A node that generates, and one that reads."""

    near: Node
    far: Node


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


async def read_all(log: Log) -> list[Record]:
    """Follow ``log`` to its end, as a response does."""
    records: list[Record] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            taken = log.take(len(records), MANY)
            records += taken
            if log.terminal is not None and len(records) == len(log):
                return records
            if not taken:
                grown = asyncio.Event()
                log.subscribe(grown.set)
                await grown.wait()


class SharedLogContract:
    """A contract to be subclassed, with a fixture ``pair``."""

    @pytest.fixture
    def pair(self) -> Pair:
        raise NotImplementedError

    async def test_a_reader_on_another_node_sees_every_record_once_in_order(self, pair: Pair) -> None:
        log = await pair.near.publish()
        stream = await pair.far.found(log.stream_id)
        with stream.reading():
            reading = asyncio.get_running_loop().create_task(read_all(stream.log))
            for number in range(500):
                log.append(Text(f"{number} "))
                if number % 50 == 0:
                    await asyncio.sleep(0.002)
            log.close(DONE)
            assert await reading == await read_all(log)
        assert stream.ended and stream.log.start == log.start

    async def test_a_later_reader_sees_the_same(self, pair: Pair) -> None:
        log = await pair.near.publish()
        for number in range(3000):
            log.append(Text(f"{number} "))
        log.close(DONE)
        await pair.near.settled()
        for _ in range(2):
            stream = await pair.far.found(log.stream_id)
            assert await read_all(stream.log) == await read_all(log)

    async def test_what_a_reader_has_is_a_prefix_that_never_changes(self, pair: Pair) -> None:
        log = await pair.near.publish()
        stream = await pair.far.found(log.stream_id)
        seen: list[list[Record]] = []
        with stream.reading():
            for number in range(30):
                log.append(Text(f"{number} "))
                await asyncio.sleep(0.002)
                seen.append(list(stream.log.take(0, MANY)))
            log.close(FAILED)
            whole = await read_all(stream.log)
        assert whole == await read_all(log)
        assert all(prefix == whole[: len(prefix)] for prefix in seen)

    async def test_a_record_wakes_a_reader_on_another_node(self, pair: Pair) -> None:
        log = await pair.near.publish()
        stream = await pair.far.found(log.stream_id)
        with stream.reading():
            grown = asyncio.Event()
            stream.log.subscribe(grown.set)
            log.append(Text("a"))
            await asyncio.wait_for(grown.wait(), WAIT_SECONDS)
            assert stream.log.take(1, MANY) == [Text("a")]

    @given(pieces=st.lists(deltas, max_size=12))
    @over_fixtures
    async def test_every_record_arrives_as_it_was(self, pair: Pair, pieces: list[Delta]) -> None:
        log = await pair.near.publish()
        for piece in pieces:
            log.append(piece)
        log.close(DONE)
        await pair.near.settled()
        there = await read_all((await pair.far.found(log.stream_id)).log)
        # Half a surrogate pair is no text: it reads as U+FFFD, at the latest on the wire.
        assert NativeEncoder("id").encode(0, there) == NativeEncoder("id").encode(0, log.take(0, MANY))
        assert list(map(type, there)) == list(map(type, log.take(0, MANY)))

    async def test_readers_on_another_node_count_and_stop_counting(self, pair: Pair) -> None:
        log = await pair.near.publish()
        stream, again = await pair.far.found(log.stream_id), await pair.far.found(log.stream_id)
        with stream.reading():
            with again.reading():
                await until(lambda: pair.near.readers(log.stream_id) == 2)
            await until(lambda: pair.near.readers(log.stream_id) == 1)
        await until(lambda: pair.near.readers(log.stream_id) == 0)

    async def test_a_stop_on_another_node_returns_when_the_ending_is_in_the_log(self, pair: Pair) -> None:
        log = await pair.near.publish()
        stream = await pair.far.found(log.stream_id)
        await stream.stop()
        assert stream.log.terminal == log.terminal == FAILED
        await stream.stop()

    async def test_one_of_many_concurrent_claims_of_a_key_wins(self, pair: Pair) -> None:
        claims = [Claim("key", f"print-{number % 3}") for number in range(12)]
        nodes = [(pair.near, pair.far)[number % 2] for number in range(12)]
        logs = [MemoryLog(node.start()) for node in nodes]
        refusals = await asyncio.gather(
            *(node.try_publish(log, claim) for node, log, claim in zip(nodes, logs, claims, strict=True))
        )
        (winner,) = (number for number, refusal in enumerate(refusals) if refusal is None)
        claimed = ClaimHolder(logs[winner].stream_id, claims[winner].fingerprint)
        assert [refusal for refusal in refusals if refusal is not None] == [claimed] * 11
        for node in (pair.near, pair.far):
            assert await node.store.find_claim("key") == claimed
        await pair.far.store.release_claim("key", ClaimHolder("another", "print"))
        assert await pair.near.store.find_claim("key") == claimed, "another stream's claim stays"
        await pair.far.store.release_claim("key", claimed)
        assert await pair.near.store.find_claim("key") is None

    async def test_a_name_stands_for_the_stream_that_was_bound_last(self, pair: Pair) -> None:
        older = await pair.near.publish(names=["chat 7", "resp_1"])
        newer = await pair.far.publish(names=["chat 7"])
        for node in (pair.near, pair.far):
            assert await node.store.lookup("chat 7") == newer.stream_id
            assert await node.store.lookup("resp_1") == older.stream_id
            assert await node.store.lookup("resp_2") is None
        await pair.near.store.bind("resp_2", older.stream_id)
        await pair.near.store.bind("chat 7", older.stream_id)
        assert await pair.far.store.lookup("resp_2") == older.stream_id
        assert await pair.far.store.lookup("chat 7") == older.stream_id
        await pair.far.store.unbind("chat 7")
        await pair.far.store.unbind("never-was")
        assert await pair.near.store.lookup("chat 7") is None

    async def test_a_name_is_forgotten_with_its_stream(self, pair: Pair) -> None:
        first = await pair.near.publish(names=["gone", "kept"])
        second = await pair.near.publish(names=["kept"])
        await pair.near.store.bind("gone too", first.stream_id)
        await pair.near.settled()
        pair.near.forget(first.stream_id)
        for name in ("gone", "gone too"):
            await until_gone(pair.far.store.lookup, name)
        assert await pair.far.store.lookup("kept") == second.stream_id
        await pair.near.store.bind("late", first.stream_id)
        assert await pair.near.store.lookup("late") is None

    async def test_publication_binds_no_name_when_its_key_is_taken(self, pair: Pair) -> None:
        first = await pair.near.publish(Claim("key", "print"), ["chat 7"])
        log = MemoryLog(pair.far.start())
        assert await pair.far.try_publish(log, Claim("key", "print"), ["chat 7", "resp_1"]) is not None
        assert await pair.near.store.lookup("chat 7") == first.stream_id
        assert await pair.near.store.lookup("resp_1") is None

    async def test_nothing_is_found_that_is_not_there(self, pair: Pair) -> None:
        assert await pair.far.find("never-was") is None
        assert await pair.far.store.find_claim("never-was") is None
        log = await pair.near.publish()
        log.close(DONE)
        await pair.near.settled()
        pair.near.forget(log.stream_id)
        await until_gone(pair.far.find, log.stream_id)


async def until_gone(find: Callable[[str], Awaitable[object]], stream_id: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while await find(stream_id) is not None:
            await asyncio.sleep(0.005)
