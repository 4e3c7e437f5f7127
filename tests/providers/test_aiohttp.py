"""What is used of aiohttp's client beyond its documented API: an upgrade that drops a part of it fails by its name."""

from __future__ import annotations

import ast
import asyncio
import inspect

import aiohttp
import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import EMPTY_PAYLOAD

from providers import _aiohttp
from providers._aiohttp import (
    BODY_ATTRIBUTES,
    CONNECTION_ATTRIBUTES,
    PIECE_OVERHEAD_BYTES,
    TAKE_BYTES,
    Body,
    WatchedConnection,
    watch_connections,
)
from providers.connection_pool import Connector, TrackedRequest, open_session

LIMIT_BYTES = 1000
"""aiohttp pauses at twice that."""


class Protocol(BaseProtocol):
    """A protocol that notes when reading is paused and resumed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self._reading_paused = True
        self.calls.append("pause")

    def resume_reading(self, resume_parser: bool = True) -> None:
        self._reading_paused = False
        self.calls.append("resume")


def new_body() -> tuple[Body, Protocol]:
    loop = asyncio.get_running_loop()
    protocol = Protocol(loop)
    body = Body.of(StreamReader(protocol, LIMIT_BYTES, loop=loop))
    assert body is not None
    return body, protocol


async def test_body_returns_everything_that_has_arrived() -> None:
    body, _ = new_body()
    for piece in (b"a", b"", b"b"):
        body.feed_data(piece)
    assert len(body.pieces) == 2
    assert body.take() == b"ab"
    assert not body.pieces


async def test_body_returns_no_more_at_once_than_its_bound_and_loses_nothing() -> None:
    body, _ = new_body()
    sent = [bytes([number]) * size for number, size in enumerate((TAKE_BYTES - 1, 3 * TAKE_BYTES + 5, 7, TAKE_BYTES))]
    for piece in sent:
        body.feed_data(piece)
    taken = []
    while body.pieces:
        taken.append(body.take())
    assert b"".join(taken) == b"".join(sent)
    assert {len(data) for data in taken[:-1]} == {TAKE_BYTES}


async def test_body_cuts_a_large_piece_once() -> None:
    body, _ = new_body()
    body.feed_data(b"x" * 3 * TAKE_BYTES)
    body.take()
    assert [len(piece) for piece in body._buffer] == [TAKE_BYTES, TAKE_BYTES]


async def test_body_counts_what_was_left_when_it_decides_on_a_pause() -> None:
    body, protocol = new_body()
    assert body.change() is not None
    body.feed_data(b"x" * (TAKE_BYTES + LIMIT_BYTES))  # for the reader that waits
    body.take()
    assert protocol.calls == []
    body.feed_data(b"x" * LIMIT_BYTES)
    assert protocol.calls == ["pause"]


async def test_body_pauses_reading_when_much_waits_and_resumes_when_all_is_taken() -> None:
    body, protocol = new_body()
    pieces = 2 * LIMIT_BYTES // (PIECE_OVERHEAD_BYTES + 10)
    for _ in range(2):
        for _ in range(pieces):
            body.feed_data(b"x" * 10)
        assert protocol.calls == []
        body.feed_data(b"x" * 10)
        assert protocol.calls == ["pause"]
        assert len(body.take()) == 10 * (pieces + 1)
        assert protocol.calls == ["pause", "resume"]
        protocol.calls.clear()


async def test_body_stays_paused_until_its_last_piece_is_taken() -> None:
    body, protocol = new_body()
    body.feed_data(b"x" * 2 * TAKE_BYTES)
    body.take()
    assert protocol.calls == ["pause"]
    body.take()
    assert protocol.calls == ["pause", "resume"]


async def test_body_wakes_its_reader_at_the_next_piece_without_a_pause() -> None:
    body, protocol = new_body()
    for _ in range(3):
        change = body.change()
        assert change is not None and not change.done()
        body.feed_data(b"x" * 10 * LIMIT_BYTES)
        assert change.done()
        assert body.take() and protocol.calls == []


async def test_body_wakes_its_reader_at_an_end_or_a_failure() -> None:
    ended, _ = new_body()
    waiting = ended.change()
    assert waiting is not None
    ended.feed_eof()
    assert waiting.done() and ended.change() is None
    failed, _ = new_body()
    waiting = failed.change()
    assert waiting is not None
    failed.set_exception(aiohttp.ClientPayloadError("cut"))
    assert waiting.done() and failed.change() is None
    assert waiting.exception() is None, "the failure is the body's, not the future's"


async def test_response_without_a_body_gets_a_body_at_its_end() -> None:
    first, second = Body.of(EMPTY_PAYLOAD), Body.of(EMPTY_PAYLOAD)
    assert first is not None and first is not second and not first.pieces
    assert first.change() is None and first.exception() is None


async def test_installed_aiohttp_has_what_a_body_uses() -> None:
    loop = asyncio.get_running_loop()
    reader = StreamReader(BaseProtocol(loop), 0, loop=loop)
    assert not [name for name in BODY_ATTRIBUTES if not hasattr(reader, name)]
    assert hasattr(BaseProtocol(loop), "_reading_paused")
    assert _private_attributes(Body) - _own(Body) == {*BODY_ATTRIBUTES, "_reading_paused"}
    assert Body.of(reader) is reader, "the two classes must have the same layout"


async def test_installed_aiohttp_has_what_kept_connections_use() -> None:
    handler = ResponseHandler(asyncio.get_running_loop())
    assert not [name for name in CONNECTION_ATTRIBUTES if not hasattr(handler, name)]
    assert _private_attributes(WatchedConnection) - _own(WatchedConnection) == {*CONNECTION_ATTRIBUTES}
    overridden = {name for name in _own(WatchedConnection) if hasattr(handler, name)}
    assert overridden == {"should_close"}, "a name has two meanings"
    connector = aiohttp.TCPConnector()
    assert watch_connections(connector)
    await connector.close()


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        (Body, StreamReader, "feed_data"),
        (Body, StreamReader, "set_exception"),
        (Body, StreamReader, "begin_http_chunk_receiving"),
        (Body, StreamReader, "end_http_chunk_receiving"),
        (TrackedRequest, aiohttp.ClientRequest, "send"),
        (TrackedRequest, aiohttp.ClientRequest, "write_bytes"),
        (Connector, aiohttp.TCPConnector, "connect"),
    ],
)
def test_override_takes_the_parameters_of_the_original(ours: type, theirs: type, name: str) -> None:
    assert list(inspect.signature(getattr(ours, name)).parameters) == list(
        inspect.signature(getattr(theirs, name)).parameters
    )


async def test_reader_that_cannot_become_a_body_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    reader = StreamReader(BaseProtocol(loop), 0, loop=loop)
    monkeypatch.setattr(_aiohttp, "BODY_ATTRIBUTES", (*BODY_ATTRIBUTES, "_gone"))
    assert Body.of(reader) is None and type(reader) is StreamReader


async def test_connections_are_not_kept_when_they_cannot_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_aiohttp, "CONNECTION_ATTRIBUTES", (*CONNECTION_ATTRIBUTES, "_gone"))
    async with open_session() as session:
        assert session.connector is not None and session.connector.force_close


def _private_attributes(owner: type) -> set[str]:
    nodes = ast.walk(ast.parse(inspect.getsource(owner)))
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def _own(owner: type) -> set[str]:
    """Return the names that ``owner`` defines, in its body or on its instances."""
    nodes = ast.walk(ast.parse(inspect.getsource(owner)))
    stored = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    known = {*BODY_ATTRIBUTES, *CONNECTION_ATTRIBUTES}
    return {name for name in stored - known | {*vars(owner)} if not name.startswith("__")}
