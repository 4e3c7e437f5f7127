"""What is used of aiohttp's client beyond its documented API: an upgrade that drops a part of it fails by its name."""

from __future__ import annotations

import ast
import asyncio
import inspect
import itertools
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import HttpResponseParser
from aiohttp.streams import EMPTY_PAYLOAD
from hypothesis import given
from hypothesis import strategies as st

from providers import _aiohttp
from providers._aiohttp import (
    BODY_ATTRIBUTES,
    CONNECTION_ATTRIBUTES,
    PIECE_OVERHEAD_BYTES,
    TAKE_BYTES,
    Body,
    WatchedConnection,
    can_send_without_session,
    watch_connections,
)
from providers.connection_pool import Connector, TrackedRequest, open_session
from providers.http_response import BodyResponse

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


async def new_chunked_body(first: bytes = b"") -> tuple[WatchedConnection, Body]:
    """Return a connection on which a response has begun, and its body, without what came ``first``."""
    connection = WatchedConnection(asyncio.get_running_loop())
    connection.connection_made(Mock(spec=asyncio.Transport))
    connection.set_response_params()
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    _, payload = await connection.read()
    body = Body.of(payload)
    assert body is not None
    body.take_chunks()
    if first:
        connection.data_received(first)
        body.take()
    return connection, body


def start_reading(body: Body) -> asyncio.Task[bytes]:
    response = Mock(spec=aiohttp.ClientResponse, headers={"Transfer-Encoding": "chunked"}, connection=None)
    return asyncio.create_task(BodyResponse(response, body).read())


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Note what comes to aiohttp's parser after the first chunk."""
    received: list[bytes] = []
    original = ResponseHandler.data_received

    def data_received(self: ResponseHandler, data: bytes) -> None:
        if not data.startswith(b"HTTP/") and not data.endswith(b"first\r\n"):
            received.append(data)
        original(self, data)

    monkeypatch.setattr(ResponseHandler, "data_received", data_received)
    return received


async def test_body_returns_everything_that_has_arrived() -> None:
    body, _ = new_body()
    for piece in (b"a", b"", b"b"):
        body.feed_data(piece)
    assert len(body.pieces) == 2
    assert body.take() == b"ab"
    assert not body.pieces


ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"


class Asked:
    """A connection that waits for :data:`ANSWER`."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.parser = HttpResponseParser(Protocol(loop), loop, LIMIT_BYTES, read_until_eof=True)

    def begin_answer(self) -> Any:
        return self.parser


async def test_an_answer_is_whole_wherever_its_first_packet_ends() -> None:
    for size in range(1, len(ANSWER) + 1):
        asked = Asked()
        messages, upgraded, tail = _aiohttp._AwaitFirstByte(asked).feed_data(ANSWER[:size])  # type: ignore[arg-type]
        more, _, _ = asked.parser.feed_data(ANSWER[size:])
        message, reader = (messages or more)[0]
        assert not messages or type(reader) is Body, "aiohttp's reader got the beginning"
        body = Body.of(reader)
        assert body is not None and not upgraded and not tail
        assert (message.code, body.take(), body.is_eof()) == (200, b"ab", True), size


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


async def test_body_hands_a_whole_chunk_to_the_reader_that_waits_past_the_parser(parsed: list[bytes]) -> None:
    connection, body = await new_chunked_body(b"5\r\nfirst\r\n")
    for size, form in [(3, b"%x"), (44, b"%x"), (44, b"%X"), (700, b"%x")]:
        reader = start_reading(body)
        await asyncio.sleep(0)
        connection.data_received(form % size + b"\r\n" + b"x" * size + b"\r\n")
        assert await reader == b"x" * size
    assert parsed == []


@pytest.mark.parametrize(
    "data",
    [
        b"0a\r\n0123456789\r\n",
        b"a;x=y\r\n0123456789\r\n",
        b"5\r\n01234\r\n5\r\n56789\r\n",
        b"5\r\n01234\r\n6\r\n56789",
        b"5\r\n01\r\n4\r\n5\r\n56789\r\n",
    ],
)
async def test_parser_reads_all_but_one_whole_chunk(parsed: list[bytes], data: bytes) -> None:
    connection, body = await new_chunked_body(b"5\r\nfirst\r\n")
    reader = start_reading(body)
    await asyncio.sleep(0)
    connection.data_received(data)
    assert parsed == [data]
    assert (await reader)[:2] == b"01"


@pytest.mark.parametrize(
    "packets",
    [
        [b"1\r\na\r\n9\r\nb\r\n", b"1\r\nc\r\n", b"\r\n"],
        [b"1\r\na\r\n1", b"5\r\nabcde\r\n", b"f" * 14 + b"\r\n"],
        [b"1\r\na\r", b"\n", b"1\r\nb\r\n"],
        [b"1\r\na\r\n", b"1\r", b"\nb\r\n", b"1\r\nb\r\n"],
    ],
)
async def test_packet_that_only_looks_like_a_whole_chunk_is_read_as_what_it_is(packets: list[bytes]) -> None:
    connection, whole = await new_chunked_body()
    connection.data_received(b"".join(packets))
    assert await _read_all([*packets, b"0\r\n\r\n"]) == whole.take()


@given(st.data())
def test_body_is_the_same_however_its_chunks_are_cut(data: st.DataObject) -> None:
    draw = data.draw
    pieces = draw(
        st.lists(st.sampled_from([b"a", b"\r\n", b"x\r\n1\r\ny\r\n", b"data: a\n\n", b"z" * 300]), min_size=1)
    )
    form = draw(st.sampled_from([b"%x\r\n%b\r\n", b"%X\r\n%b\r\n", b"%04x\r\n%b\r\n", b"%x;a=b\r\n%b\r\n"]))
    stream = b"".join(form % (len(piece), piece) for piece in pieces)
    bounds = set(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    if draw(st.booleans()):  # as most servers send it: each chunk by itself
        bounds |= set(itertools.accumulate(len(form % (len(piece), piece)) for piece in pieces))
    cuts = sorted({0, *bounds, len(stream)})
    packets = [stream[begin:end] for begin, end in itertools.pairwise(cuts)] + [b"0\r\nTrailer: a\r\n\r\n"]
    assert asyncio.run(_read_all(packets)) == b"".join(pieces)


async def _read_all(packets: list[bytes]) -> bytes:
    """Return the body of ``packets``, read as each comes."""
    connection, body = await new_chunked_body()
    read = b""
    for packet in packets:
        reader = start_reading(body)
        await asyncio.sleep(0)
        connection.data_received(packet)
        await asyncio.sleep(0)
        while body.pieces:
            read += body.take()
        if reader.done():
            read += reader.result()
        else:
            reader.cancel()
            await asyncio.wait([reader])
    assert body.is_eof()
    return read


async def test_malformed_chunk_behind_whole_ones_breaks_the_connection() -> None:
    connection, body = await new_chunked_body(b"5\r\nfirst\r\n")
    reader = start_reading(body)
    await asyncio.sleep(0)
    connection.data_received(b"3\r\nabc\r\n")
    assert await reader == b"abc"
    reader = start_reading(body)
    await asyncio.sleep(0)
    connection.data_received(b"3\r\nabcde")
    assert isinstance(connection.exception(), aiohttp.http_exceptions.HttpProcessingError)
    reader.cancel()


async def test_read_that_is_cancelled_loses_no_chunk(parsed: list[bytes]) -> None:
    connection, body = await new_chunked_body(b"5\r\nfirst\r\n")
    reader = start_reading(body)
    await asyncio.sleep(0)
    connection.data_received(b"3\r\nabc\r\n")
    reader.cancel()
    await asyncio.wait([reader])
    assert body.take() == b"abc"
    reader = start_reading(body)
    await asyncio.sleep(0)
    reader.cancel()
    connection.data_received(b"3\r\ndef\r\n")
    await asyncio.wait([reader])
    assert body.take() == b"def"
    assert parsed == []


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
    assert overridden == {"close", "data_received", "should_close"}, "a name has two meanings"
    connector = aiohttp.TCPConnector()
    assert watch_connections(connector)
    await connector.close()


def test_installed_aiohttp_has_what_a_request_without_a_session_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_send_without_session()
    monkeypatch.setattr(_aiohttp, "RESPONSE_PARAMETERS", ("gone",))
    assert not can_send_without_session()


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        (Body, StreamReader, "feed_data"),
        (Body, StreamReader, "set_exception"),
        (Body, StreamReader, "begin_http_chunk_receiving"),
        (Body, StreamReader, "end_http_chunk_receiving"),
        (WatchedConnection, ResponseHandler, "close"),
        (WatchedConnection, ResponseHandler, "data_received"),
        (TrackedRequest, aiohttp.ClientRequest, "send"),
        (TrackedRequest, aiohttp.ClientRequest, "update_headers"),
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
