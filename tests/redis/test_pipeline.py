"""Batches over one connection: each submission gets its own replies, or an error, however the bytes come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from streamserver.redis._redis_py import NotPrimary, Packed, pack
from streamserver.redis.connection import Command, SharedConnection
from streamserver.redis.pipeline import Pipeline
from streamserver.store.base import StoreUnavailable
from tests.redis.fake_redis import FakeRedis, cuts

BIG = b"a\r\nb" * 50_000
REFUSAL = b"-OOM command not allowed\r\n"
ENTRIES = b"$3\r\n2-0\r\n$3\r\n7-0\r\n"


@pytest.fixture
def fake() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
async def pipeline(fake: FakeRedis) -> Pipeline:
    return Pipeline(fake.connection)


def submit(pipeline: Pipeline, *commands: Command, expected: bytes | None = None) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def receive(replies: list[Any] | None) -> None:
        if not future.cancelled():
            future.set_result(replies)

    packed = Packed(pack(commands), len(commands), expected)
    pipeline.submit(packed, receive, lambda: future.set_exception(StoreUnavailable()))
    pipeline.schedule()
    return future


def echo(count: int) -> Sequence[Command]:
    return [("ECHO", number) for number in range(count)]


def comparable(replies: list[Any]) -> list[Any]:
    return [type(reply) if isinstance(reply, RedisError) else reply for reply in replies]


async def test_each_submission_gets_its_own_replies_wherever_the_bytes_are_cut() -> None:
    """A nil, a refusal between two accepted commands, and a nested array."""
    data = b"$-1\r\n" + b":1\r\n" + REFUSAL + b"+OK\r\n" + b"*2\r\n$2\r\n\r\n\r\n*1\r\n*-1\r\n"
    for pieces in cuts(data):
        fake = FakeRedis()
        pipeline = Pipeline(fake.connection)
        futures = [submit(pipeline, *echo(count)) for count in (1, 3, 1)]
        await asyncio.sleep(0)
        assert len(fake.written) == 1, "they go together"
        fake.answer(*pieces)
        replies = [comparable(future.result()) for future in futures]
        assert [len(each) for each in replies] == [1, 3, 1]
        assert replies[0] == [None] and replies[1][::2] == [1, b"OK"] and replies[2] == [[b"\r\n", [None]]]
        assert issubclass(replies[1][1], ResponseError)
        assert [pipeline.take_silence() for _ in range(2)] == [False, True], "replies have come, and then no more"
        submit(pipeline, *echo(1))
        assert not pipeline.take_silence(), "a reply is awaited"


async def test_replies_that_are_as_expected_are_told_wherever_the_bytes_are_cut() -> None:
    for pieces in cuts(ENTRIES):
        fake = FakeRedis()
        pipeline = Pipeline(fake.connection)
        future = submit(pipeline, *echo(2), expected=ENTRIES)
        pipeline.flush()
        fake.answer(*pieces)
        assert future.result() == (None if len(pieces) == 1 else [b"2-0", b"7-0"])


@pytest.mark.parametrize("other", [b"$3\r\n2-0\r\n$-1\r\n", b"$3\r\n2-0\r\n" + REFUSAL, b"$3\r\n2-0\r\n$3\r\n8-0\r\n"])
async def test_replies_that_are_not_as_expected_are_told(fake: FakeRedis, pipeline: Pipeline, other: bytes) -> None:
    future = submit(pipeline, *echo(2), expected=ENTRIES)
    pipeline.flush()
    fake.answer(other)
    assert len(future.result()) == 2


async def test_submissions_with_and_without_an_expectation_share_a_batch(fake: FakeRedis, pipeline: Pipeline) -> None:
    entries, other = submit(pipeline, *echo(2), expected=ENTRIES), submit(pipeline, ("PING",))
    pipeline.flush()
    fake.answer(ENTRIES + b"+PONG\r\n")
    assert entries.result() == [b"2-0", b"7-0"] and other.result() == [b"PONG"]
    both = [submit(pipeline, *echo(2), expected=ENTRIES) for _ in range(2)]
    pipeline.flush()
    fake.answer(ENTRIES + ENTRIES)
    assert [future.result() for future in both] == [None, None]


async def test_one_batch_is_under_way_at_a_time(fake: FakeRedis, pipeline: Pipeline) -> None:
    first = submit(pipeline, ("ECHO", 1))
    pipeline.flush()
    later = [submit(pipeline, ("ECHO", number)) for number in (2, 3)]
    pipeline.flush()
    await asyncio.sleep(0)
    assert fake.written == [pack([("ECHO", 1)])]
    fake.answer(b"$1\r\n")
    assert len(fake.written) == 1 and not first.done()
    fake.answer(b"1\r\n")
    assert first.result() == [b"1"]
    assert fake.written[1:] == [pack([("ECHO", 2), ("ECHO", 3)])]
    fake.answer(b"$1\r\n2\r\n$1\r\n", b"3\r\n")
    assert [future.result() for future in later] == [[b"2"], [b"3"]]


async def test_big_replies_arrive_in_many_pieces(fake: FakeRedis, pipeline: Pipeline) -> None:
    future = submit(pipeline, *echo(2))
    pipeline.flush()
    data = b"$%d\r\n%b\r\n*1\r\n$%d\r\n%b\r\n" % (len(BIG), BIG, len(BIG), BIG)
    fake.answer(*(data[start : start + 65_536] for start in range(0, len(data), 65_536)))
    assert future.result() == [BIG, [BIG]]


async def test_a_connection_that_is_lost_before_the_last_byte_fails_everything() -> None:
    """Also what had its replies in full: they are handed out together. What waits in the queue fails with it."""
    for length in range(len(ENTRIES)):
        fake = FakeRedis()
        pipeline = Pipeline(fake.connection)
        futures = [submit(pipeline, ("ECHO", 1)), submit(pipeline, ("ECHO", 2))]
        pipeline.flush()
        futures.append(submit(pipeline, ("ECHO", 3)))
        fake.answer(ENTRIES[:length])
        fake.lose()
        with pytest.raises(RedisError):
            await pipeline.run()
        pipeline.close()
        for future in futures:
            with pytest.raises(StoreUnavailable):
                await future


async def test_replies_that_came_before_the_connection_was_lost_count(fake: FakeRedis, pipeline: Pipeline) -> None:
    future = submit(pipeline, *echo(2))
    pipeline.flush()
    fake.answer(ENTRIES)
    fake.lose()
    assert await future == [b"2-0", b"7-0"]
    late = submit(pipeline, ("PING",))
    pipeline.flush()
    with pytest.raises(RedisError):
        await pipeline.run()
    pipeline.close()
    with pytest.raises(StoreUnavailable):
        await late


async def test_a_caller_that_is_cancelled_takes_no_reply_from_another(fake: FakeRedis, pipeline: Pipeline) -> None:
    cancelled, other = submit(pipeline, *echo(2)), submit(pipeline, ("PING",))
    pipeline.flush()
    fake.answer(ENTRIES[:5])
    cancelled.cancel()
    fake.answer(ENTRIES[5:], b"+PONG\r\n")
    assert other.result() == [b"PONG"]


async def test_a_callback_that_fails_keeps_no_reply_from_another(fake: FakeRedis, pipeline: Pipeline) -> None:
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

    def fail(replies: object) -> None:
        raise ValueError(replies)

    pipeline.submit(Packed(pack([("PING",)]), 1), fail, lambda: None)
    other = submit(pipeline, ("PING",))
    pipeline.flush()
    fake.answer(b"+PONG\r\n+PONG\r\n")
    assert other.result() == [b"PONG"] and len(errors) == 1


@pytest.mark.parametrize("stray", [b"+OK\r\n", b"$5\r\nhal"])
async def test_a_reply_to_no_command_breaks_the_connection(fake: FakeRedis, pipeline: Pipeline, stray: bytes) -> None:
    """Every later command would get the reply to the one before."""
    fake.answer(stray)
    submit(pipeline, ("PING",))
    pipeline.flush()
    with pytest.raises(InvalidResponse):
        await pipeline.run()
    assert fake.written == []
    pipeline.close()


@pytest.mark.parametrize("nonsense", [b"?\r\n", b"$x\r\n", b"\r\n"])
async def test_bytes_that_are_no_reply_break_the_connection(
    fake: FakeRedis, pipeline: Pipeline, nonsense: bytes
) -> None:
    future = submit(pipeline, *echo(2))
    pipeline.flush()
    fake.answer(b"+OK\r\n", nonsense, b"+OK\r\n")
    with pytest.raises(InvalidResponse):
        await pipeline.run()
    assert not future.done()
    pipeline.close()


async def test_an_answer_of_a_replica_among_others_breaks_the_connection() -> None:
    dropped: list[bool] = []
    fake = FakeRedis(on_not_primary=lambda: dropped.append(True))
    pipeline = Pipeline(fake.connection)
    future = submit(pipeline, *echo(3))
    pipeline.flush()
    fake.answer(b"+OK\r\n-READONLY You can't write against a read only replica.\r\n+OK\r\n")
    with pytest.raises(NotPrimary, match="READONLY"):
        await pipeline.run()
    assert dropped == [True] and not future.done()
    pipeline.close()


async def test_a_batch_without_replies_breaks_the_connection(
    fake: FakeRedis, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamserver.redis.pipeline.REPLY_SECONDS", 0.01)
    submit(pipeline, *echo(2))
    pipeline.flush()
    fake.answer(b"+OK\r\n")
    with pytest.raises(TimeoutError):
        await pipeline.run()
    pipeline.close()


async def test_reply_that_came_while_the_process_stood_still_is_read(
    fake: FakeRedis, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full collection of garbage, or a stopped machine, is no loss of Redis."""
    monkeypatch.setattr("streamserver.redis.pipeline.REPLY_SECONDS", 0)
    future = submit(pipeline, ("PING",))
    await asyncio.sleep(0)
    pipeline._on_timer()
    fake.answer(b"+PONG\r\n")
    assert await future == [b"PONG"]


async def test_a_batch_that_was_answered_has_no_limit_of_time(fake: FakeRedis, pipeline: Pipeline) -> None:
    future = submit(pipeline, ("PING",))
    pipeline.flush()
    fake.answer(b"+PONG\r\n")
    assert future.result() == [b"PONG"]
    pipeline._on_timer()
    submit(pipeline, ("PING",))
    pipeline.flush()
    pipeline._on_timer()  # that of the first batch, which is set anew
    assert not pipeline._lost.done() and pipeline._timer is not None
    pipeline.close()


async def test_an_exchange_that_is_cancelled_breaks_the_connection(fake: FakeRedis) -> None:
    """The next exchange would get the replies of this one."""
    waiting = asyncio.ensure_future(fake.connection.execute(echo(2)))
    await asyncio.sleep(0)
    fake.answer(ENTRIES[:12])
    waiting.cancel()
    fake.answer(ENTRIES[12:])  # before the task learns that it is cancelled
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(RedisError):
        await fake.connection.execute([("PING",)])


class FakeFactory:
    """A factory of connections without sockets."""

    address = "nowhere"

    def __init__(self) -> None:
        self.fakes: list[FakeRedis] = []
        self.on_drop: list[object] = []

    async def connect(self) -> tuple[Any, str]:
        self.fakes.append(FakeRedis())
        return self.fakes[-1].connection, "run_id:1"

    async def close(self, connection: Any) -> None:
        await connection.close()


async def test_replies_to_an_earlier_connection_reach_no_command_of_the_next() -> None:
    factory, restarts = FakeFactory(), list[bool]()
    shared = SharedConnection(factory, restarts.append)  # type: ignore[arg-type]
    running = asyncio.ensure_future(shared.run())
    await shared.wait_connected()
    lost = shared.submit(*echo(2))
    await asyncio.sleep(0)
    (first,) = factory.fakes
    first.answer(ENTRIES[:12])
    first.lose()
    with pytest.raises(StoreUnavailable):
        await lost
    await shared.wait_connected()
    second = factory.fakes[1]
    answered = shared.submit(*echo(2))
    await asyncio.sleep(0)
    first.answer(ENTRIES[12:], b"+LATE\r\n")
    first.lose()
    assert shared.is_connected and not answered.done() and shared.epoch == 2
    second.answer(ENTRIES)
    assert await answered == [b"2-0", b"7-0"]
    assert restarts == [False, False]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(StoreUnavailable):
        await shared.submit(("PING",))


async def test_a_submission_of_nothing_is_answered_at_once() -> None:
    """Redis does not reply to it: the connection would count as broken."""
    factory = FakeFactory()
    shared = SharedConnection(factory, lambda _: None)  # type: ignore[arg-type]
    running = asyncio.ensure_future(shared.run())
    await shared.wait_connected()
    assert await shared.submit() == [] and factory.fakes[0].written == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
