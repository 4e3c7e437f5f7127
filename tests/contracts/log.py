"""What every log has to keep: the guarantees of :class:`streamserver.log.base.Log`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.base import Delta, Reasoning, Text, ToolCall
from streamserver.log.base import Log
from streamserver.log.records import RECORD_OVERHEAD_BYTES, Record, Start, Terminal
from tests.support.records import DONE, FAILED, START, deltas

MakeLog = Callable[[Start], Log]
MANY = 10_000

over_a_fixture = settings(
    # One suite for several classes: that is what "differing executors" are.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


class LogContract:
    """A contract to be subclassed, with a fixture ``make_log``."""

    @pytest.fixture
    def make_log(self) -> MakeLog:
        raise NotImplementedError

    @pytest.fixture
    def log(self, make_log: MakeLog) -> Log:
        return make_log(START)

    def test_a_new_log_holds_its_start_and_is_open(self, log: Log) -> None:
        assert log.take(0, MANY) == [START]
        assert len(log) == 1
        assert log.start == START
        assert log.stream_id == START.stream_id
        assert log.terminal is None

    @given(pieces=st.lists(deltas, max_size=20))
    @over_a_fixture
    def test_offsets_rise_by_one_in_the_order_of_appending(self, make_log: MakeLog, pieces: list[Delta]) -> None:
        log = make_log(START)
        for offset, piece in enumerate(pieces, start=1):
            assert len(log) == offset
            assert log.append(piece)
            assert log.take(offset, MANY) == [piece]
        assert log.close(DONE)
        assert log.take(0, MANY) == [START, *pieces, DONE]

    @given(pieces=st.lists(deltas, max_size=20), offset=st.integers(0, 30), limit=st.integers(1, 30))
    @over_a_fixture
    def test_what_is_taken_is_a_slice_of_the_whole(
        self, make_log: MakeLog, pieces: list[Delta], offset: int, limit: int
    ) -> None:
        log = make_log(START)
        for piece in pieces:
            log.append(piece)
        log.close(DONE)
        assert log.take(offset, limit) == [START, *pieces, DONE][offset : offset + limit]

    @given(pieces=st.lists(deltas, max_size=12))
    @over_a_fixture
    def test_a_prefix_never_changes(self, make_log: MakeLog, pieces: list[Delta]) -> None:
        log = make_log(START)
        prefixes = [list(log.take(0, MANY))]
        held = [log.take(0, MANY)]
        for piece in pieces:
            log.append(piece)
            prefixes.append(list(log.take(0, MANY)))
            held.append(log.take(0, MANY))
        log.close(FAILED)
        whole = list(log.take(0, MANY))
        for length, (prefix, taken) in enumerate(zip(prefixes, held, strict=True), start=1):
            assert whole[:length] == prefix, "the log changed"
            assert list(taken) == prefix, "what a reader holds changed under it"

    def test_nothing_is_there_past_the_end(self, log: Log) -> None:
        log.append(Text("a"))
        assert list(log.take(2, MANY)) == []
        assert list(log.take(1_000_000, MANY)) == []

    def test_the_first_to_close_decides(self, log: Log) -> None:
        assert log.close(DONE) is True
        assert log.close(FAILED) is False
        assert log.terminal == DONE
        assert log.take(0, MANY) == [START, DONE]

    def test_closing_calls_back_with_the_terminal_record(self, log: Log) -> None:
        closed: list[Terminal] = []
        log.close(DONE, closed.append)
        log.close(FAILED, closed.append)
        assert closed == [DONE]

    def test_a_shared_log_hides_its_ending_until_it_is_accepted(self, log: Log) -> None:
        proposals: list[Terminal | None] = []
        closed: list[Terminal] = []
        log.share(lambda: proposals.append(log.proposed))
        log.append(Text("a"))
        assert log.close(DONE, closed.append) is True
        assert proposals == [DONE] and closed == []
        assert log.terminal is None and len(log) == 2 and log.take(0, MANY) == [START, Text("a")]
        assert log.append(Text("b")) is False and log.close(FAILED) is False
        log.accept(DONE)
        assert closed == [DONE] and log.terminal == DONE and log.take(0, MANY) == [START, Text("a"), DONE]

    async def test_a_shared_log_wakes_its_readers_when_the_ending_is_accepted(self, log: Log) -> None:
        log.share(lambda: None)
        woken: list[int] = []
        log.subscribe(lambda: woken.append(len(log)))
        log.close(DONE)
        await asyncio.sleep(0)
        assert woken == []
        log.accept(DONE)
        await asyncio.sleep(0)
        assert woken == [2]

    @pytest.mark.parametrize("told", [False, True])
    def test_the_accepted_ending_counts_whatever_was_proposed_or_told(self, log: Log, told: bool) -> None:
        closed: list[Terminal] = []
        log.share(lambda: None)
        log.close(DONE, closed.append)
        if told:
            log.accept(DONE)
        size = log.size_bytes
        log.accept(FAILED)
        assert log.terminal == FAILED and log.take(0, MANY) == [START, FAILED] and len(log) == 2
        assert closed == [DONE if told else FAILED] and log.size_bytes == size

    def test_a_log_tells_its_store_of_the_next_append_once(self, log: Log) -> None:
        told: list[tuple[str, int]] = []
        log.on_appended = lambda stream_id: told.append((stream_id, len(log)))
        log.append(Text("a"))
        log.append(Text("b"))
        assert told == [(log.stream_id, 2)], "the record is there when the store is told"
        log.close(DONE)
        assert len(told) == 1

    def test_an_append_that_is_refused_is_not_told_to_the_store(self, log: Log) -> None:
        log.on_appended = lambda _: pytest.fail("nothing was appended")
        log.close(DONE)
        log.append(Text("a"))

    def test_nothing_follows_the_terminal_record(self, log: Log) -> None:
        log.append(Text("a"))
        log.close(FAILED)
        size = log.size_bytes
        assert log.append(Text("b")) is False
        assert log.take(0, MANY) == [START, Text("a"), FAILED]
        assert log.size_bytes == size

    def test_the_terminal_record_is_in_the_log_when_it_is_seen(self, log: Log) -> None:
        log.close(DONE)
        assert log.take(len(log) - 1, 1) == [log.terminal]

    async def test_an_append_wakes_every_waiter_once(self, log: Log) -> None:
        woken: list[int] = []
        for number in range(3):
            log.subscribe(partial(woken.append, number))
        log.append(Text("a"))
        assert woken == [], "the writer waited for its readers"
        log.append(Text("b"))
        await asyncio.sleep(0)
        log.append(Text("c"))
        log.close(DONE)
        await asyncio.sleep(0)
        assert woken == [0, 1, 2]

    async def test_closing_wakes_every_waiter_once(self, log: Log) -> None:
        woken: list[int] = []
        for number in range(3):
            log.subscribe(partial(woken.append, number))
        log.close(DONE)
        log.close(FAILED)
        await asyncio.sleep(0)
        assert woken == [0, 1, 2]

    async def test_the_record_is_there_when_its_waiter_wakes(self, log: Log) -> None:
        seen = list[Record]()
        log.subscribe(lambda: seen.extend(log.take(1, MANY)))
        log.append(Text("a"))
        await asyncio.sleep(0)
        assert seen == [Text("a")]

    async def test_refused_append_wakes_no_reader(self, log: Log) -> None:
        log.close(DONE)
        late: list[int] = []
        log.subscribe(partial(late.append, 1))
        log.append(Text("a"))
        log.close(FAILED)
        await asyncio.sleep(0)
        assert late == []

    async def test_cancelled_waiter_disturbs_no_other_reader(self, log: Log) -> None:
        woken: list[str] = []
        forgotten, waiting = partial(woken.append, "forgotten"), partial(woken.append, "waiting")
        log.subscribe(forgotten)
        log.subscribe(waiting)
        log.unsubscribe(forgotten)
        log.unsubscribe(partial(woken.append, "never subscribed"))
        log.append(Text("a"))
        await asyncio.sleep(0)
        assert woken == ["waiting"]
        log.unsubscribe(waiting)

    async def test_readers_are_independent_of_each_other_and_of_the_writer(self, log: Log) -> None:
        pieces: list[Delta] = [Text(str(number)) for number in range(50)]

        async def read(limit: int) -> list[object]:
            seen: list[object] = []
            while log.terminal is None or len(seen) < len(log):
                records = log.take(len(seen), limit)
                if records:
                    seen += records
                    continue
                grown = asyncio.Event()
                log.subscribe(grown.set)
                await grown.wait()
            return seen

        async def write() -> None:
            for piece in pieces:
                log.append(piece)
                await asyncio.sleep(0)
            log.close(DONE)

        *seen, _ = await asyncio.wait_for(asyncio.gather(read(1), read(7), read(MANY), write()), 60)
        assert seen == [[START, *pieces, DONE]] * 3

    @given(pieces=st.lists(deltas, max_size=12))
    @over_a_fixture
    def test_the_size_is_the_text_in_utf8_and_an_overhead_a_record(
        self, make_log: MakeLog, pieces: list[Delta]
    ) -> None:
        log = make_log(START)
        text = ""
        for piece in pieces:
            log.append(piece)
            match piece:
                case Text() | Reasoning():
                    text += piece.text
                case ToolCall():
                    text += (piece.id or "") + (piece.name or "") + piece.arguments
        written = len("".join("?" if "\ud800" <= sign <= "\udfff" else sign for sign in text).encode())
        assert log.size_bytes == written + RECORD_OVERHEAD_BYTES * (1 + len(pieces))
        log.close(DONE)
        assert log.size_bytes == written + RECORD_OVERHEAD_BYTES * (2 + len(pieces))

    @given(pieces=st.integers(0, 9), offset=st.integers(0, 12), limit=st.integers(1, 12), ended=st.booleans())
    @over_a_fixture
    def test_a_take_is_short_only_at_the_end(
        self, make_log: MakeLog, pieces: int, offset: int, limit: int, ended: bool
    ) -> None:
        log = make_log(START)
        for _ in range(pieces):
            log.append(Text("a"))
        if ended:
            log.close(DONE)
        assert len(log.take(offset, limit)) == min(limit, max(0, len(log) - offset))
