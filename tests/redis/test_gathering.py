"""Replication gathers what all streams append, unless something waits for it."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from providers.base import Reasoning, Text
from streamserver.log.codec import encode
from streamserver.log.memory import MemoryLog
from streamserver.log.records import ContinuedText, Piece, Terminal
from streamserver.redis._redis_py import pack
from streamserver.redis.batch import ENTRY_OVERHEAD_BYTES, Batch
from streamserver.redis.connection import Command, Packed, RedisConnection, Replies
from streamserver.redis.keys import log_key
from streamserver.redis.pipeline import BATCH_COMMANDS, Fail, Receive
from streamserver.redis.replicated_log import ENTRY_RECORDS, ReplicatedLog
from streamserver.redis.replicator import GATHER_LIMIT_SECONDS, GATHER_SECONDS
from streamserver.store.base import Claim
from tests.contracts.shared_log import until
from tests.redis.stores import RedisNode, node_at
from tests.support.records import DONE
from tests.support.redis import RedisProcess

NEVER_SECONDS = 3600


@pytest.fixture
async def near(redis: RedisProcess, stack: AsyncExitStack) -> RedisNode:
    return await node_at(stack, redis.port)


@pytest.fixture
async def far(redis: RedisProcess, stack: AsyncExitStack) -> RedisNode:
    return await node_at(stack, redis.port)


@pytest.fixture
def no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the timer that sends gathered records: only what must not wait is sent."""
    for name in ("GATHER_SECONDS", "GATHER_LIMIT_SECONDS"):
        monkeypatch.setattr(f"streamserver.redis.replicator.{name}", NEVER_SECONDS)


def appended_keys(packed: Packed) -> list[str]:
    """Return the keys of the logs that packed commands append to, in order."""
    return [key.decode() for key in re.findall(rb"XADD\r\n\$\d+\r\n(\S+:log:\S+)\r\n", packed.data)]


def spy_on_appends(node: RedisNode, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the keys of the logs in each batch of appends that ``node`` sends from now on."""
    batches: list[list[str]] = []
    connection = node.redis_store._connection
    send = connection.send

    def record(packed: Packed, receive: Receive, fail: Fail, *, epoch: int) -> None:
        batches.append(appended_keys(packed))
        send(packed, receive, fail, epoch=epoch)

    monkeypatch.setattr(connection, "send", record)
    return batches


async def test_records_of_all_streams_go_out_together(near: RedisNode, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = [await near.publish() for _ in range(20)]
    batches = spy_on_appends(near, monkeypatch)
    for log in logs:
        log.append(Text("hello"))
    await until(lambda: bool(batches))
    assert [len(batch) for batch in batches] == [20]


async def test_redis_answers_entries_as_expected(near: RedisNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no reply is parsed. The last entry of a log has a command with it, by which it expires."""
    connection, results = near.redis_store._connection, list[Replies | None]()
    logs = [await near.publish() for _ in range(12)]
    send = connection.send

    def record(packed: Packed, receive: Receive, fail: Fail, *, epoch: int) -> None:
        def note_and_receive(replies: Replies | None) -> None:
            results.append(replies)
            receive(replies)

        send(packed, note_and_receive, fail, epoch=epoch)

    monkeypatch.setattr(connection, "send", record)
    for number in range(3):
        for log in logs[: 4 * number + 4]:
            log.append(Text("hello"))
        await near.settled()
    assert results == [None, None, None]
    for log in logs:
        log.close(DONE)
    await near.settled()
    assert len(results) > 3 and set(results) == {None}
    assert all(log.terminal == DONE for log in logs)


PIECES: dict[str, list[Piece]] = {
    "a text of each": [Text("a"), Text("\r\n"), Text("é" * 300)],
    "a lone surrogate": [Text("a"), Text("\ud83d"), Text("b")],
    "something else": [Text("a"), Reasoning("b"), ContinuedText("\n")],
}


@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 3, 1), (1, ENTRY_RECORDS, ENTRY_RECORDS + 1)])
@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
async def test_entries_are_packed_as_any_commands(near: RedisNode, pieces: list[Piece], counts: Sequence[int]) -> None:
    logs = [await near.publish() for _ in pieces]
    for log, piece, count in zip(logs, pieces, counts, strict=True):
        for _ in range(count):
            log.append(piece)
    replicated = list(near.redis_store._replicator._logs.values())
    batch = Batch()
    batch.append_all(iter(replicated), max_bytes=1024 * 1024)
    sizes = [min(count, ENTRY_RECORDS) for count in counts]
    commands: list[Command] = [
        ("XADD", log_key(log.stream_id), "NOMKSTREAM", f"{size + 1}-0", "r", encode(log.take(1, size)))
        for log, size in zip(logs, sizes, strict=True)
    ]
    replies = b"".join(b"$%d\r\n%d-0\r\n" % (len(f"{size + 1}-0"), size + 1) for size in sizes)
    assert batch.packed() == Packed(pack(commands), 3, replies)
    assert batch.stored == [size + 1 for size in sizes]
    assert batch.unfinished == [log for log, count in zip(replicated, counts, strict=True) if count > ENTRY_RECORDS]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("beyond_two", "fit"), [(-10_000, 1), (0, 2), (1, 3), (10_000, 3)])
async def test_logs_for_which_a_batch_has_no_room_are_left(
    near: RedisNode, beyond_two: int, fit: int, count: int
) -> None:
    """The first one has room, whatever its size, and the last one is that with which the limit is reached."""
    pieces = [Text("x" * 300)] * count
    published = [await near.publish() for _ in range(3)]
    for log in published:  # in one turn of the loop: none is sent meanwhile
        for piece in pieces:
            log.append(piece)
    replicated = list(near.redis_store._replicator._logs.values())
    max_bytes = 2 * (ENTRY_OVERHEAD_BYTES + len(encode(pieces))) + beyond_two
    batch, logs = Batch(), iter(replicated)
    batch.append_all(logs, max_bytes)
    assert (batch.appended, list(logs), batch.unfinished) == (replicated[:fit], replicated[fit:], [])
    assert batch.stored == [count + 1] * fit
    assert len(appended_keys(batch.packed())) == batch.packed().reply_count == fit


async def test_more_than_a_batch_holds_goes_in_several(
    near: RedisNode, far: RedisNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamserver.redis.replicator.BATCH_BYTES", 3000)
    logs = [await near.publish() for _ in range(10)]
    batches = spy_on_appends(near, monkeypatch)
    for log in logs:
        for _ in range(ENTRY_RECORDS + 10):
            log.append(Text("hello"))
    await near.settled()
    assert [len((await far.found(log.stream_id)).log) for log in logs] == [ENTRY_RECORDS + 11] * 10
    assert sorted(key for batch in batches for key in batch) == sorted(2 * [log_key(log.stream_id) for log in logs])
    assert len(batches) > 5


async def test_no_batch_is_sent_when_nothing_is_left_to_send(near: RedisNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis would not reply to it, and the connection would count as broken."""
    log = await near.publish()
    batches = spy_on_appends(near, monkeypatch)
    log.append(Text("hello"))
    await near.settled()
    near.redis_store._replicator._on_gathered()
    assert batches == [[log_key(log.stream_id)]]


class LoopOfTheTest:
    """An event loop as a replicator uses it, with the test's clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.set: list[tuple[float, asyncio.Handle, Callable[[], None]]] = []
        """The time, the handle and the callback of each timer."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.Handle:
        handle = asyncio.Handle(callback, (), asyncio.get_running_loop())
        self.set.append((self.now + delay, handle, callback))
        return handle

    def call_soon(self, callback: Callable[[], None]) -> asyncio.Handle:
        return asyncio.get_running_loop().call_soon(callback)

    def time(self) -> float:
        return self.now


@pytest.fixture
def loop_of_the_test(near: RedisNode, monkeypatch: pytest.MonkeyPatch) -> LoopOfTheTest:
    loop = LoopOfTheTest()
    monkeypatch.setattr(near.redis_store._replicator, "_loop", loop)
    return loop


async def test_a_record_that_comes_late_takes_those_along_that_wait(
    near: RedisNode, loop_of_the_test: LoopOfTheTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the process, which is awake for it, need not wake up for them."""
    logs = [await near.publish() for _ in range(3)]
    batches = spy_on_appends(near, monkeypatch)
    for log in logs:
        assert batches == []
        log.append(Text("word "))
        await asyncio.sleep(0)
        loop_of_the_test.now += GATHER_SECONDS / 2
    assert batches == [[log_key(log.stream_id) for log in logs]]
    ((_, timer, _),) = loop_of_the_test.set
    assert timer.cancelled()
    await near.settled()


async def test_records_that_follow_do_not_postpone_those_that_wait(
    near: RedisNode, far: RedisNode, loop_of_the_test: LoopOfTheTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one sets the timer. So none is sent later than ``GATHER_LIMIT_SECONDS`` after it was appended."""
    logs = [await near.publish(), await near.publish()]
    batches = spy_on_appends(near, monkeypatch)
    for _ in range(20):
        for log in logs:
            log.append(Text("word "))
        await asyncio.sleep(0)
        loop_of_the_test.now += GATHER_SECONDS / 40
    ((due, _, fire),) = loop_of_the_test.set
    assert due == 100.0 + GATHER_LIMIT_SECONDS
    assert batches == []
    fire()
    await until(lambda: len(batches) == 1)
    await near.settled()
    assert [len((await far.found(log.stream_id)).log) for log in logs] == [21, 21]


@pytest.mark.usefixtures("no_timer")
async def test_a_record_does_not_wait_for_others_when_a_reader_on_another_node_waits_for_it(
    near: RedisNode, far: RedisNode
) -> None:
    log, other = await near.publish(), await near.publish()
    stream = await far.found(log.stream_id)
    with stream.reading():
        await until(lambda: near.readers(log.stream_id) == 1)
        for number in range(20):
            other.append(Text("gathered"))
            log.append(Text(f"{number} "))
            await until(lambda number=number: len(stream.log) == number + 2)  # type: ignore[misc]
    assert len((await far.found(other.stream_id)).log) > 10, "what was gathered went along"


@pytest.mark.usefixtures("no_timer")
async def test_gathered_records_are_sent_when_a_reader_on_another_node_comes(near: RedisNode, far: RedisNode) -> None:
    log = await near.publish()
    log.append(Text("hello"))
    stream = await far.found(log.stream_id)
    with stream.reading():
        await until(lambda: len(stream.log) == 2)


@pytest.mark.usefixtures("no_timer")
async def test_an_ending_does_not_wait_for_others(near: RedisNode, far: RedisNode) -> None:
    log = await near.publish()
    log.append(Text("hello"))
    log.close(DONE)
    await until(lambda: log.terminal == DONE)
    assert len((await far.found(log.stream_id)).log) == 3


async def test_records_wait_in_their_log_while_redis_answers(
    near: RedisNode, far: RedisNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow Redis costs no memory but the log's: one entry of a log is under way at a time."""
    replicator, connection = near.redis_store._replicator, near.redis_store._connection
    held: list[tuple[Packed, Receive, Fail, int]] = []
    send = connection.send

    def hold(packed: Packed, receive: Receive, fail: Fail, *, epoch: int) -> None:
        held.append((packed, receive, fail, epoch))

    monkeypatch.setattr(connection, "send", hold)
    log, other = await near.publish(), await near.publish()
    log.append(Text("first"))
    await until(lambda: bool(held))
    for number in range(300):
        log.append(Text(f"{number} "))
        other.append(Text(f"{number} "))
    other.close(DONE)
    for impatient in (replicator.expedite, replicator._on_gathered, replicator.expedite):
        impatient()
        await asyncio.sleep(0)
        await connection.submit(("PING",))
    assert [appended_keys(packed) for packed, *_ in held] == [[log_key(log.stream_id)]]
    monkeypatch.setattr(connection, "send", send)
    packed, receive, fail, epoch = held[0]
    connection.send(packed, receive, fail, epoch=epoch)
    await near.settled()
    assert [len((await far.found(each.stream_id)).log) for each in (log, other)] == [302, 302]


@pytest.mark.parametrize("ends", [False, True])
async def test_a_reply_from_before_a_loss_of_data_is_no_news(
    near: RedisNode, far: RedisNode, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """Redis executed a batch, lost its data, and the heartbeat noticed it before the reply was read."""
    connection, held = near.redis_store._connection, list[tuple[Packed, Receive]]()
    send = connection.send
    monkeypatch.setattr(connection, "send", lambda packed, receive, fail, *, epoch: held.append((packed, receive)))
    log = await near.publish()
    log.append(Text("hello"))
    if ends:
        log.close(DONE)
    await until(lambda: bool(held))
    near.redis_store._replicator.check_all()
    monkeypatch.setattr(connection, "send", send)
    packed, receive = held[0]
    receive(None if packed.expected is not None else [b"3-0", *[1] * (packed.reply_count - 1)])
    assert log.terminal is None and log.stream_id in near.redis_store._replicator._behind, "it is verified first"
    await near.settled()
    there = (await far.found(log.stream_id)).log
    assert (len(there), there.terminal) == ((3, DONE) if ends else (2, None))


async def test_nothing_is_waited_for_when_a_batch_of_forgotten_logs_is_lost(
    near: RedisNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    replicator, connection, fails = near.redis_store._replicator, near.redis_store._connection, list[Fail]()
    monkeypatch.setattr(connection, "send", lambda packed, receive, fail, **_: fails.append(fail))
    log = await near.publish()
    log.append(Text("hello"))
    await until(lambda: bool(fails))
    replicator._remove(log.stream_id)
    waiting = asyncio.ensure_future(replicator.wait_done())
    await asyncio.sleep(0)
    fails[0]()
    await asyncio.wait_for(waiting, 60)


async def test_a_forgotten_log_is_freed_without_a_collection(near: RedisNode) -> None:
    """A cycle of references would keep its records until the garbage collector runs, which is seldom."""
    log = await near.publish()
    log.append(Text("hello"))
    await near.settled()
    log.close(DONE)
    await near.settled()
    (replicated,) = near.redis_store._replicator._logs.values()
    ids = {id(log), id(replicated)}
    assert not [each for each in gc.get_referrers(replicated) if isinstance(each, partial)], "none is kept until then"
    gc.disable()
    try:
        near.forget(log.stream_id)
        del log, replicated
        left = [each for each in gc.get_objects() if isinstance(each, (ReplicatedLog, MemoryLog))]
        assert ids & set(map(id, left)) == set()
    finally:
        gc.enable()


async def test_a_publication_takes_one_round_trip(near: RedisNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its key and its names, and the reply is as expected; a request that brings a key asks for it before, in
    another one."""
    connection = near.redis_store._connection
    exchanges: list[int] = []
    futures: list[asyncio.Future[Any]] = []
    submit = connection.submit_packed

    def count(packed: Packed, *, epoch: int | None = None) -> asyncio.Future[Any]:
        future = submit(packed, epoch=epoch)
        if not packed.data.startswith(b"*2\r\n$6\r\nEXISTS"):  # a heartbeat's look at a silent connection
            exchanges.append(packed.reply_count)
            futures.append(future)
        return future

    monkeypatch.setattr(connection, "submit_packed", count)
    assert await near.store.find_claim("key") is None
    assert await near.try_publish(MemoryLog(near.start()), Claim("key", "print"), ["chat", "resp_1"]) is None
    assert exchanges == [2, 1]
    assert futures[1].result() is None


@pytest.mark.parametrize("count", [ENTRY_RECORDS - 1, ENTRY_RECORDS, ENTRY_RECORDS + 1, 2 * ENTRY_RECORDS])
async def test_a_log_that_fills_its_entries_holds_up_no_other(near: RedisNode, far: RedisNode, count: int) -> None:
    full, other = await near.publish(), await near.publish()
    for number in range(count):
        full.append(Text(f"{number} "))
    await near.settled()
    other.append(Text("hello"))
    other.close(DONE)
    await until(lambda: other.terminal == DONE)
    full.append(Text("more"))
    await near.settled()
    assert [len((await far.found(log.stream_id)).log) for log in (full, other)] == [count + 2, 3]


async def test_all_endings_go_out_that_come_together(near: RedisNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a drain, or when a provider fails for all: one batch has not room for all of them."""
    monkeypatch.setattr("streamserver.redis.replicator.BATCH_BYTES", 1)
    logs = [await near.publish() for _ in range(5)]
    await near.settled()
    for log in logs:
        log.close(DONE)
    await until(lambda: all(log.terminal == DONE for log in logs))


async def test_a_log_that_ends_after_it_was_forgotten_is_not_sent(near: RedisNode) -> None:
    log = await near.publish()
    await near.settled()
    near.forget(log.stream_id)
    log.close(DONE)
    assert not near.redis_store._replicator._behind


@pytest.mark.parametrize("ends", [False, True])
async def test_a_log_that_grows_all_the_time_holds_up_no_other_when_a_batch_is_full(
    near: RedisNode, far: RedisNode, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    monkeypatch.setattr("streamserver.redis.replicator.BATCH_BYTES", 1)
    busy, other = await near.publish(), await near.publish()
    connection, sent = near.redis_store._connection, list[list[str]]()
    send = connection.send

    def send_and_grow(packed: Packed, receive: Receive, fail: Fail, *, epoch: int) -> None:
        sent.append(appended_keys(packed))
        if len(sent) < 50:
            busy.append(Text("more "))
        send(packed, receive, fail, epoch=epoch)

    monkeypatch.setattr(connection, "send", send_and_grow)
    busy.append(Text("first "))
    other.append(Text("hello"))
    if ends:
        other.close(DONE)
    await until(lambda: any(log_key(other.stream_id) in keys for keys in sent))
    assert log_key(busy.stream_id) in sent[0]
    assert any(log_key(other.stream_id) in keys for keys in sent[:3])
    await near.settled()
    assert (await far.found(other.stream_id)).log.terminal == (DONE if ends else None)


async def test_what_is_submitted_at_once_is_sent_in_batches(near: RedisNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """All replies to a batch share one limit of time."""
    sizes: list[int] = []
    begin = RedisConnection.begin

    def note_size(connection: RedisConnection, packed: Packed, *callbacks: Any) -> None:
        sizes.append(packed.reply_count)
        begin(connection, packed, *callbacks)

    monkeypatch.setattr(RedisConnection, "begin", note_size)
    futures = [near.redis_store._connection.submit(("ECHO", number)) for number in range(2500)]
    replies = await asyncio.gather(*futures)
    assert replies == [[str(number).encode()] for number in range(2500)]
    assert max(sizes) == BATCH_COMMANDS


async def test_a_log_with_several_entries_to_send_holds_up_no_other(
    near: RedisNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamserver.redis.replicator.BATCH_BYTES", 1)
    long, short = await near.publish(), await near.publish()
    batches = spy_on_appends(near, monkeypatch)
    for _ in range(5 * ENTRY_RECORDS):
        long.append(Text("hello"))
    short.append(Text("hello"))
    await near.settled()
    assert batches[:2] == [[log_key(long.stream_id)], [log_key(short.stream_id)]]
    assert batches[2:] == [[log_key(long.stream_id)]] * 4


async def test_a_stream_that_is_forgotten_while_another_ends_ends_no_waiting(near: RedisNode, far: RedisNode) -> None:
    """So an old stream goes when memory is short. The server would exit before the rest has reached Redis."""
    old, ending, long = [await near.publish() for _ in range(3)]
    old.close(DONE)
    await near.settled()
    ending.close(DONE, lambda _: near.forget(old.stream_id))
    for _ in range(3 * ENTRY_RECORDS):
        long.append(Text("hello"))
    long.close(DONE)
    await near.settled()
    assert len((await far.found(long.stream_id)).log) == 3 * ENTRY_RECORDS + 2


async def test_a_failure_of_what_an_ending_calls_keeps_no_other_from_redis(
    near: RedisNode, far: RedisNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    def fail(_: Terminal) -> None:
        raise ArithmeticError

    first, second, running = [await near.publish() for _ in range(3)]
    first.close(DONE, fail)
    second.close(DONE)
    running.append(Text("hello"))
    await near.settled()
    assert [log.terminal for log in (first, second)] == [DONE, DONE]
    running.append(Text("hello"))
    await near.settled()
    assert [len((await far.found(log.stream_id)).log) for log in (first, second, running)] == [2, 2, 3]
    assert [type(failure["exception"]) for failure in failures] == [ArithmeticError]
