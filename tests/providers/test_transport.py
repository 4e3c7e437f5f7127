"""The transport, where the other side is hostile."""

from __future__ import annotations

import asyncio
import gzip
import socket
import warnings
import zlib

import pytest

from providers import _aiohttp
from providers._aiohttp import TAKE_BYTES
from providers.transport import AiohttpTransport, HttpRequest, Transport
from tests.conftest import StartUpstream
from tests.support.upstream import Exchange, Upstream

SIZE = 30_000_000


@pytest.mark.parametrize("compressed", [True, False], ids=["gzip", "plain"])
async def test_a_body_that_is_all_there_lets_other_tasks_run_between_its_reads(
    transport: Transport, start_upstream: StartUpstream, compressed: bool
) -> None:
    body = gzip.compress(b"\n" * SIZE) if compressed else b"\n" * SIZE

    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, body, extra="Content-Encoding: gzip\r\n" if compressed else "")

    upstream = await start_upstream(script)
    response = await transport.send(HttpRequest(f"{upstream.url}/", {}, b"{}"))
    turns, size = LoopTurns(), 0
    while data := await response.read():
        assert len(data) <= TAKE_BYTES
        size += len(data)
    turns.handle.cancel()
    response.finish()
    assert size == SIZE
    assert turns.count >= SIZE / TAKE_BYTES


async def test_compressed_body_is_decompressed_when_each_of_its_chunks_comes_alone(
    transport: Transport, start_upstream: StartUpstream
) -> None:
    wanted, compressor = asyncio.Queue[bytes](), zlib.compressobj(wbits=31)

    async def script(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        while text := await wanted.get():
            data = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
            exchange.writer.write(b"%b%x\r\n%b\r\n" % (head, len(data), data))
            head = b""

    upstream = await start_upstream(script)
    wanted.put_nowait(b"piece 0")
    response = await transport.send(HttpRequest(f"{upstream.url}/", {}, b"{}"))
    response.expect_small_reads()
    for number in range(1, 5):
        assert await response.read() == b"piece %d" % (number - 1)
        wanted.put_nowait(b"piece %d" % number)
    response.close()
    wanted.put_nowait(b"")


async def test_connections_are_kept_and_closed_on_the_standard_event_loop(
    transport: Transport, start_upstream: StartUpstream
) -> None:
    async def script(exchange: Exchange) -> None:
        exchange.keep_alive = True
        await exchange.answer(200, b"{}")
        if len(upstream.exchanges) == 3:
            asyncio.get_running_loop().call_later(0.05, exchange.writer.write, b"more")

    upstream = await start_upstream(script)
    for number in range(3):
        await _ask(transport, upstream)
        assert upstream.accepted == 1, number
    await upstream.all_closed()
    await _ask(transport, upstream)
    assert upstream.accepted == 2


async def test_a_request_that_is_cancelled_closes_its_connection(
    transport: Transport, start_upstream: StartUpstream
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.closed.wait()

    upstream = await start_upstream(script)
    sending = asyncio.ensure_future(_ask(transport, upstream))
    await upstream.exchange()
    sending.cancel()
    await upstream.all_closed()


async def _ask(transport: Transport, upstream: Upstream) -> None:
    response = await transport.send(HttpRequest(upstream.url, {}, b"{}"))
    while await response.read():
        pass
    response.finish()


class LoopTurns:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = -1
        self.take()

    def take(self) -> None:
        self.count += 1
        self.handle = asyncio.get_running_loop().call_soon(self.take)


@pytest.mark.parametrize("documented", [False, True])
async def test_a_request_is_the_same_with_and_without_a_session(
    start_upstream: StartUpstream, monkeypatch: pytest.MonkeyPatch, documented: bool
) -> None:
    """What is sent, to the byte."""

    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, "{}")

    if documented:
        monkeypatch.setattr(_aiohttp, "REQUEST_PARAMETERS", ("gone",))
    upstream = await start_upstream(script)
    transport = AiohttpTransport()
    headers = {"Accept": "text/event-stream", "Content-Type": "application/json", "user-agent": "x", "X-A": "y"}
    (await transport.send(HttpRequest(f"{upstream.url}/v1/a%2Fb?c=d", headers, b"{}"))).close()
    await transport.aclose()
    (exchange,) = upstream.exchanges
    assert exchange.head.replace(str(upstream.port), "PORT").split("\r\n") == [
        "POST /v1/a%2Fb?c=d HTTP/1.1",
        "Host: 127.0.0.1:PORT",
        "Accept-Encoding: identity",
        "Accept: text/event-stream",
        "Content-Type: application/json",
        "user-agent: x",
        "X-A: y",
        "Content-Length: 2",
        *[""] * exchange.head.count("\r\n\r\n"),
    ]


async def test_password_in_an_address_is_sent(start_upstream: StartUpstream, transport: Transport) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, "{}")

    upstream = await start_upstream(script)
    (await transport.send(HttpRequest(upstream.url.replace("//", "//anna:a%20b@"), {}, b"{}"))).close()
    (exchange,) = upstream.exchanges
    assert exchange.headers["authorization"] == "Basic YW5uYTphIGI="
    assert exchange.headers["host"] == f"127.0.0.1:{upstream.port}"


@pytest.mark.parametrize("size", [60_000, 500_000])
async def test_a_connection_on_which_a_body_is_half_sent_is_not_kept(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A gateway refuses a request by its head, and reads no more. The next request would wait behind the body."""
    accepted: list[asyncio.StreamWriter] = []

    async def refuse_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        if len(accepted) == 1:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}")

    made = _aiohttp.WatchedConnection.connection_made

    def make_slow(connection: _aiohttp.WatchedConnection, opened: asyncio.BaseTransport) -> None:
        opened.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made(connection, opened)

    monkeypatch.setattr(_aiohttp.WatchedConnection, "connection_made", make_slow)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with await asyncio.start_server(refuse_the_first, sock=listening, limit=1024), asyncio.timeout(60):
        for body in (b"x" * size, b"{}"):
            response = await transport.send(HttpRequest(f"http://127.0.0.1:{listening.getsockname()[1]}/", {}, body))
            assert (response.status, await response.read(), await response.read()) == (429, b"{}", b"")
            response.finish()
        assert len(accepted) == 2
        for writer in accepted:
            writer.transport.abort()


async def test_body_of_several_megabytes_is_sent_whole_and_without_a_warning(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, "{}")

    upstream = await start_upstream(script)
    body = bytes(range(256)) * 12_000
    with warnings.catch_warnings(action="error"):
        response = await transport.send(HttpRequest(upstream.url, {}, body))
    response.close()
    (exchange,) = upstream.exchanges
    assert exchange.body == body and exchange.headers["content-length"] == str(len(body))
