"""The body of an answer: what has come is taken whole, and no more comes than is wanted."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import EMPTY_PAYLOAD

from providers.response_body import PIECE_OVERHEAD_BYTES, Body

LIMIT_BYTES = 1000
"""aiohttp pauses at twice that."""


class Protocol(BaseProtocol):
    """One that counts what it is told."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.told: list[str] = []

    def pause_reading(self) -> None:
        self._reading_paused = True
        self.told.append("pause")

    def resume_reading(self, resume_parser: bool = True) -> None:
        self._reading_paused = False
        self.told.append("resume")


def body() -> tuple[Body, Protocol]:
    loop = asyncio.get_running_loop()
    protocol = Protocol(loop)
    return Body.of(StreamReader(protocol, LIMIT_BYTES, loop=loop)), protocol


async def test_everything_that_has_come_is_taken_at_once() -> None:
    reader, _ = body()
    for piece in (b"a", b"", b"b"):
        reader.feed_data(piece)
    assert list(reader.pieces) == [b"a", b"b"]
    assert reader.take() == b"ab"
    assert not reader.pieces


async def test_reading_pauses_when_much_waits_and_goes_on_when_it_is_taken() -> None:
    reader, protocol = body()
    pieces = 2 * LIMIT_BYTES // (PIECE_OVERHEAD_BYTES + 10)
    for _ in range(2):
        for _ in range(pieces):
            reader.feed_data(b"x" * 10)
        assert protocol.told == []
        reader.feed_data(b"x" * 10)
        assert protocol.told == ["pause"]
        assert len(reader.take()) == 10 * (pieces + 1)
        assert protocol.told == ["pause", "resume"]
        protocol.told.clear()


async def test_one_who_waits_is_woken_by_the_next_piece_which_pauses_nothing() -> None:
    reader, protocol = body()
    for _ in range(3):
        change = reader.change()
        assert change is not None and not change.done()
        reader.feed_data(b"x" * 100 * LIMIT_BYTES)
        assert change.done()
        assert reader.take() and protocol.told == []


async def test_an_end_or_a_failure_wakes_who_waits_and_is_told_to_who_comes_later() -> None:
    ended, _ = body()
    waiting = ended.change()
    assert waiting is not None
    ended.feed_eof()
    assert waiting.done() and ended.change() is None
    failed, _ = body()
    waiting = failed.change()
    assert waiting is not None
    failed.set_exception(aiohttp.ClientPayloadError("cut"))
    assert waiting.done() and failed.change() is None
    assert waiting.exception() is None, "what failed is told by the body, not by the wait"


async def test_an_answer_without_a_body_has_one_that_is_at_its_end() -> None:
    first, second = Body.of(EMPTY_PAYLOAD), Body.of(EMPTY_PAYLOAD)
    assert first is not second and not first.pieces
    assert first.change() is None and first.exception() is None
