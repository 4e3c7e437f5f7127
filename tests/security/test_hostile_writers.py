"""Clients that send malformed requests, slowly, or too much."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.support.client import RawStream, get_events, stream_url
from tests.support.server import ServerProcess

HOST = "Host: 127.0.0.1\r\n"
POST = f"POST /api/chat/stream HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"
GET = f"GET /healthz HTTP/1.1\r\n{HOST}"
SMUGGLED = f"GET /api/chat/stream?prompt=smuggled HTTP/1.1\r\n{HOST}\r\n"
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n"

SMUGGLING = {
    "length and chunks": f"{POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": f"{CHUNKED}Content-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": f"{POST}Content-Length: 0\r\nContent-Length: 70\r\n\r\n",
    "one length twice": f"{POST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": f"{POST}Content-Length: 0, 70\r\n\r\n",
    "a signed length": f"{POST}Content-Length: +0\r\n\r\n",
    "a negative length": f"{POST}Content-Length: -1\r\n\r\n",
    "a hexadecimal length": f"{POST}Content-Length: 0x0\r\n\r\n",
    "a length of other digits": f"{POST}Content-Length: 1_0\r\n\r\n",
    "an unknown coding": f"{POST}Transfer-Encoding: xchunked\r\n\r\n",
    "no coding": f"{POST}Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
    "chunks not last": f"{POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "two codings": f"{CHUNKED}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks after a vertical tab": f"{POST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": f"{POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a space before the first name": f"GET /healthz HTTP/1.1\r\n X: 1\r\n{HOST}\r\n",
    "a folded header": f"{POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "another folded header": f"{GET}X: a\r\n b\r\n\r\n",
    "bare line feeds": "GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n",
    "one bare line feed": f"{GET}X: 1\nY: 2\r\n\r\n",
    "a bare carriage return": f"{GET}X: a\rTransfer-Encoding: chunked\r\n\r\n",
    "a zero byte": f"{GET}X: a\0b\r\n\r\n",
    "a chunk's extension cut by a line feed": f"{CHUNKED}\r\n2;\n{{}}\r\n0\r\n\r\n",
    "a negative chunk": f"{CHUNKED}\r\n-2\r\n{{}}\r\n0\r\n\r\n",
    "a chunk with a prefix": f"{CHUNKED}\r\n0x2\r\n{{}}\r\n0\r\n\r\n",
    "a chunk longer than it says": f"{CHUNKED}\r\n2\r\n{{}}xx\r\n0\r\n\r\n",
    "a chunk past all numbers": f"{CHUNKED}\r\nfffffffffffffffff\r\n{{}}\r\n0\r\n\r\n",
    "a length in the trailer": f"{CHUNKED}\r\n2\r\n{{}}\r\n0\r\nContent-Length: 9\r\n\r\n",
    "two hosts": f"{GET}Host: evil.example\r\n\r\n",
    "no host": "GET /healthz HTTP/1.1\r\n\r\n",
    "chunks in HTTP/1.0": f"{CHUNKED.replace('1.1', '1.0')}\r\n0\r\n\r\n",
    "a version of its own": f"GET /healthz HTTP/1.10\r\n{HOST}\r\n",
    "too many headers": GET + "".join(f"X-{number}: 1\r\n" for number in range(500)) + "\r\n",
}


async def answers(port: int, sent: str) -> list[int]:
    """Return the statuses of all responses until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent.encode("latin-1"))
        async with asyncio.timeout(60):
            received = await reader.read()
    except ConnectionError:
        received = b""
    finally:
        writer.close()
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", received)]


async def test_ambiguous_request_is_refused_and_closes_the_connection(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"log": {"level": "DEBUG"}})
    for name, request in SMUGGLING.items():
        assert await answers(server.port, request + SMUGGLED) == [400], name
    assert server.records() == [], "nothing was generated"
    assert (await get_events(http, stream_url(server.url)))[-1].type == "done"
    assert server.records("crash") == []
    async with asyncio.timeout(60):
        while len(server.records("refused")) < len(SMUGGLING):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("sent", ["", "G", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
async def test_connection_is_closed_when_headers_do_not_arrive_in_time(start_server: StartServer, sent: str) -> None:
    server = await start_server({"timeouts": {"headers": 0.2}})
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent.encode())
    async with asyncio.timeout(60):
        for _ in range(100_000):
            if await _closed_within(reader, 0.05):
                break
            writer.write(b"y" if sent.endswith(" ") else b"")  # a byte at a time does not move the deadline
    writer.close()


async def _closed_within(reader: asyncio.StreamReader, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


LONG_HEADER = "x" * 60_000
STREAM = f"GET /api/chat/stream?prompt=a&provider=quiet HTTP/1.1\r\n{HOST}\r\n"
ENDLESS = {
    "headers": (GET, "X-{number}: {long}\r\n"),
    "headers after a request": (f"{GET}\r\n{GET}", "X-{number}: {long}\r\n"),
    "headers behind a stream": (f"{STREAM}{GET}", "X-{number}: {long}\r\n"),
    "requests behind a stream": (STREAM, f"{GET}X-{{number}}: {{long}}\r\n\r\n"),
    "a trailer": (f"{CHUNKED}\r\n2\r\n{{}}\r\n0\r\n", "X-{number}: {long}\r\n"),
    "a chunk's extension": (f"{CHUNKED}\r\n2;", "{long}"),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_total_size_of_headers_trailers_and_chunk_extensions_is_bounded(
    start_server: StartServer, name: str
) -> None:
    """128 headers of 64 KiB take 15 MB of memory, and 33 such requests behind a stream take half a gigabyte."""
    server = await start_server(
        {"providers": {"quiet": {"kind": "echo", "hang_after": 0}}, "timeouts": {"headers": 60, "body": 60}}
    )
    begin, line = ENDLESS[name]
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        sent = await _sent_until_cut(writer, begin, line)
    finally:
        writer.transport.abort()
    assert sent < 2_000_000
    assert await server.logged("refused")


async def _sent_until_cut(writer: asyncio.StreamWriter, begin: str, line: str) -> int:
    """Send ``line`` repeatedly until the connection is cut. Return how many bytes were sent."""
    writer.write(begin.encode())
    for number in range(100):
        writer.write(line.format(number=number, long=LONG_HEADER).encode())
        try:
            async with asyncio.timeout(60):
                await writer.drain()
        except ConnectionError:
            return number * len(LONG_HEADER)
        await asyncio.sleep(0.01)  # what was sent is to be taken, and not only buffered
    raise AssertionError("all of it was taken")


async def test_client_is_dropped_and_counted_when_it_does_not_read_ordinary_responses(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    """A client that never reads the responses would keep a connection, and its buffers, for ever."""
    server = await start_server({"server": {"send_timeout_seconds": 1}})
    before = descriptors_of(server)
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", server.port))
        async with asyncio.timeout(60):
            while descriptors_of(server) == before:
                await asyncio.sleep(0.01)
            with suppress(ConnectionError):
                await loop.sock_sendall(sock, f"GET /openapi.json HTTP/1.1\r\n{HOST}\r\n".encode() * 20_000)
            while descriptors_of(server) > before:
                await asyncio.sleep(0.05)
    async with asyncio.timeout(60):
        while "streamserver_dropped_readers_total 1.0" not in await metrics_of(http, server):
            await asyncio.sleep(0.05)


async def metrics_of(http: aiohttp.ClientSession, server: ServerProcess) -> str:
    async with http.get(f"{server.url}/metrics") as response:
        return await response.text()


async def test_idle_connection_is_kept_longer_after_a_request_than_before_the_first(start_server: StartServer) -> None:
    server = await start_server({"timeouts": {"headers": 1}})
    stream = await (await RawStream.request(server.port, "/healthz")).head()
    await stream.reader.readexactly(int(stream.headers["content-length"]))
    later, writer = await asyncio.open_connection("127.0.0.1", server.port)
    assert await _closed_within(later, 20), "a connection without a request is closed"
    writer.close()
    stream.writer.write(f"{GET}\r\n".encode())
    assert (await stream.head()).status == 200
    stream.close()


async def test_pipelined_flood_is_answered_and_costs_bounded_memory(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    before = memory_of(server)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    flood = f"{GET}\r\n".encode() * 20_000
    writer.write(flood)  # a megabyte of requests, and no response is read
    for _ in range(20):
        assert (await get_events(http, stream_url(server.url)))[-1].type == "done"
    assert memory_of(server) - before < 30_000, "kilobytes"
    marker, responses, rest = b'{"status"', 0, b""
    async with asyncio.timeout(60):
        while responses < 20_000:
            received = rest + await reader.read(65536)
            responses += received.count(marker)
            rest = received[-(len(marker) - 1) :]  # a marker can be split between two reads
    writer.close()


async def test_idle_connections_cost_little_memory_and_do_not_block_others(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"timeouts": {"headers": 60}})
    before = memory_of(server)
    count = 1_000
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(count)]
    assert (await get_events(http, stream_url(server.url)))[-1].type == "done"
    each = (memory_of(server) - before) / count
    print(f"{each:.1f} KB an idle connection")
    assert each < 60
    for _, writer in idle:
        writer.close()


def descriptors_of(server: ServerProcess) -> int:
    """Return the number of open descriptors of the server."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def memory_of(server: ServerProcess) -> int:
    """Return the resident memory of the server in kilobytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])
