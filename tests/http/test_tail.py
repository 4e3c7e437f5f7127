"""The one loop that follows a log, without a socket and without waiting."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from providers.base import Text
from streamserver.core.error_codes import failed
from streamserver.http.responses.sse_response import SSEResponse
from streamserver.http.responses.tail import BATCH_RECORDS, follow
from streamserver.log.memory import MemoryLog
from streamserver.wire.base import MAX_BATCH_BYTES
from streamserver.wire.native import NativeEncoder
from tests.contracts.encoder import encode_all
from tests.support.clock import FakeClock, settle
from tests.support.records import DONE, START
from tests.support.sse import Parser, parse

KEEPALIVE = 15.0
ENCODER = NativeEncoder(START.stream_id)


class Response:
    """What a reader has got, write by write. ``stalled``: it takes nothing."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.complete = False
        self.stalled = False
        self.headers_sent = False

    def flush_headers(self) -> None:
        self.headers_sent = True

    def write_now(self, data: bytes) -> bool:
        self.writes.append(data)
        return not self.stalled

    def write_last(self, data: bytes) -> None:
        self.write_now(data)

    async def wait_drained(self) -> None:
        while self.stalled:
            await asyncio.sleep(0)

    async def send_batch(self, data: bytes) -> None:
        self.write_now(data)
        await self.wait_drained()

    @property
    def pings(self) -> int:
        return self.writes.count(ENCODER.keepalive)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(START)


@pytest.fixture
def response() -> Response:
    return Response()


def following(log: MemoryLog, response: Response, clock: FakeClock, offset: int = 0) -> asyncio.Future[None]:
    typed = cast(SSEResponse, response)
    return asyncio.create_task(follow(log, offset, typed, ENCODER, clock=clock, keepalive=KEEPALIVE))


async def test_each_token_is_written_when_it_comes(log: MemoryLog, response: Response, clock: FakeClock) -> None:
    task = following(log, response, clock)
    await settle()
    for word in ("a", "b", "c"):
        log.append(Text(word))
        await settle()
    log.close(DONE)
    await task
    assert response.writes == [ENCODER.encode(n, log.take(n, 1))[0] for n in range(5)]
    assert response.complete
    assert clock.pending == 0


async def test_what_is_ready_at_once_is_one_write(log: MemoryLog, response: Response, clock: FakeClock) -> None:
    for number in range(500):
        log.append(Text(str(number)))
    log.close(DONE)
    await following(log, response, clock)
    assert response.writes == [encode_all(ENCODER, log.take(0, 1000))]


async def test_a_long_log_goes_out_in_bounded_writes(log: MemoryLog, response: Response, clock: FakeClock) -> None:
    for _ in range(5000):
        log.append(Text("x" * 100))
    log.close(DONE)
    await following(log, response, clock)
    assert max(map(len, response.writes)) < MAX_BATCH_BYTES + 1000
    assert b"".join(response.writes) == encode_all(ENCODER, log.take(0, 10_000))


async def test_a_ping_after_each_silence_and_no_sooner(log: MemoryLog, response: Response, clock: FakeClock) -> None:
    task = following(log, response, clock)
    await clock.passes(KEEPALIVE - 0.01)
    assert response.pings == 0
    await clock.passes(0.01)
    assert response.pings == 1
    for count in range(2, 6):
        await clock.passes(KEEPALIVE)
        assert response.pings == count
    log.close(DONE)
    await task
    parser = Parser()
    events = parser.feed(b"".join(response.writes))
    assert [event.type for event in events] == ["start", *["ping"] * 5, "done"]
    assert parser.last_event_id == f"{START.stream_id}:1"


async def test_a_token_puts_the_ping_off(log: MemoryLog, response: Response, clock: FakeClock) -> None:
    task = following(log, response, clock)
    for _ in range(10):
        await clock.passes(KEEPALIVE - 1)
        log.append(Text("a"))
    await clock.passes(KEEPALIVE - 1)
    assert response.pings == 0
    await clock.passes(1)
    assert response.pings == 1
    log.close(DONE)
    await task


async def test_a_busy_stream_sets_no_timer_per_token(log: MemoryLog, response: Response, clock: FakeClock) -> None:
    task = following(log, response, clock)
    for _ in range(600):
        log.append(Text("a"))
        await clock.passes(0.1)
    log.close(DONE)
    await task
    # 60 s of tokens: a timer each 15 s at the most, and the first.
    assert clock.armed <= 60 / KEEPALIVE + 1
    assert clock.pending == 0


@pytest.mark.parametrize("offset", range(5))
async def test_a_reader_gets_the_suffix_from_its_offset(
    log: MemoryLog, response: Response, clock: FakeClock, offset: int
) -> None:
    for word in ("a", "b", "c"):
        log.append(Text(word))
    log.close(DONE)
    await following(log, response, clock, offset)
    events = parse(b"".join(response.writes))
    assert [event.offset for event in events] == [str(n) for n in range(offset, 5)]


async def test_a_reader_past_an_ended_log_gets_its_ending(log: MemoryLog, response: Response, clock: FakeClock) -> None:
    log.close(DONE)
    await following(log, response, clock, 99)
    (event,) = parse(b"".join(response.writes))
    assert (event.type, event.offset) == ("done", "1")


async def test_a_reader_past_a_running_log_waits_and_then_gets_what_follows_its_place(
    log: MemoryLog, response: Response, clock: FakeClock
) -> None:
    task = following(log, response, clock, 3)
    for word in ("a", "b"):
        log.append(Text(word))
        await settle()
    assert response.writes == []
    assert response.headers_sent, "a reader that waits knows that it is connected"
    log.append(Text("c"))
    await settle()
    log.close(DONE)
    await task
    assert [event.offset for event in parse(b"".join(response.writes))] == ["3", "4"]


async def test_a_reader_past_a_log_that_ends_before_its_place_gets_the_ending(
    log: MemoryLog, response: Response, clock: FakeClock
) -> None:
    task = following(log, response, clock, 50)
    await clock.passes(KEEPALIVE)
    log.append(Text("a"))
    log.close(DONE)
    await task
    events = parse(b"".join(response.writes))
    assert [event.type for event in events] == ["ping", "done"]


async def test_a_reader_that_has_the_ending_before_the_log_has_it_here_gets_no_second_one(
    log: MemoryLog, response: Response, clock: FakeClock
) -> None:
    """It has it from the node that generated; this one's copy came later."""
    log.append(Text("a"))
    task = following(log, response, clock, 3)
    await settle()
    log.close(DONE)
    await task
    assert response.writes == [] and response.complete


async def test_a_reader_further_than_the_producer_is_known_to_have_come_gets_its_ending(
    log: MemoryLog, response: Response, clock: FakeClock
) -> None:
    log.append(Text("a"))
    task = following(log, response, clock, 3)
    await settle()
    log.close(failed("producer_lost", request_id="request-1"))
    await task
    assert [event.type for event in parse(b"".join(response.writes))] == ["error"]


async def test_a_stalled_reader_delays_no_other(log: MemoryLog, clock: FakeClock) -> None:
    stalled, quick = Response(), Response()
    stalled.stalled = True
    tasks = [following(log, stalled, clock), following(log, quick, clock)]
    for word in ("a", "b"):
        log.append(Text(word))
        await settle()
    log.close(DONE)
    await tasks[1]
    assert quick.complete
    assert not tasks[0].done()
    stalled.stalled = False
    await tasks[0]
    assert b"".join(stalled.writes) == b"".join(quick.writes)


async def test_a_reader_that_goes_leaves_nothing_behind(log: MemoryLog, response: Response, clock: FakeClock) -> None:
    for _ in range(3):
        task = following(log, response, clock)
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert clock.pending == 0
    assert not log._waiters
    log.append(Text("a"))
    assert not response.complete


async def test_a_long_log_of_short_tokens_goes_out_whole(log: MemoryLog, response: Response, clock: FakeClock) -> None:
    for _ in range(3 * BATCH_RECORDS):
        log.append(Text("a"))
    log.close(DONE)
    await asyncio.wait_for(following(log, response, clock), 60)
    assert len(parse(b"".join(response.writes))) == 3 * BATCH_RECORDS + 2
