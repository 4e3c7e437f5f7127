"""The open response of a stream, over a real connection."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from streamserver.http.responses.sse_response import SSEResponse
from streamserver.runner import AppRunner

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(
    handler: Handler,
    address: int | Path,
    make_runner: Callable[[web.Application], web.AppRunner] = web.AppRunner,
) -> AsyncIterator[str]:
    """Serve ``handler`` on a port, or on a Unix socket; yield the URL for the port."""
    app = web.Application()
    app.router.add_get("/", handler)
    runner = make_runner(app)
    await runner.setup()
    if isinstance(address, Path):
        await web.UnixSite(runner, str(address)).start()
    else:
        await web.TCPSite(runner, "127.0.0.1", address).start()
    try:
        yield f"http://127.0.0.1:{address}/"
    finally:
        await runner.cleanup()


async def test_bytes_behind_the_end_of_a_body_are_not_sent(unused_tcp_port: int) -> None:
    """It would be read as the beginning of the connection's next response."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = SSEResponse(send_timeout=5, headers={}, on_stall=lambda: None)
        await response.prepare(request)
        await response.send_batch(b"data: a\n\n")
        assert response.write_now(b"data: b\n\n")
        await response.write_eof()
        with pytest.raises(ConnectionResetError):
            response.write_now(b"data: late\n\n")
        return response

    connector = aiohttp.TCPConnector(limit=1)
    async with serving(handler, unused_tcp_port) as url, aiohttp.ClientSession(connector=connector) as http:
        for _ in range(2):
            async with http.get(url) as answer:
                assert await answer.text() == "data: a\n\ndata: b\n\n"


@pytest.mark.parametrize("begun", [False, True])
async def test_the_end_of_a_body_leaves_with_its_terminal_event(unused_tcp_port: int, begun: bool) -> None:
    """The client has the whole body before the handler returns, and the next response is whole as well."""
    received = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = SSEResponse(send_timeout=5, headers={}, on_stall=lambda: None, ends_with_terminal=True)
        await response.prepare(request)
        if begun:
            await response.send_batch(b"data: a\n\n")
            response.complete = True
            response.write_last(b"data: b\n\n")
            with pytest.raises(ConnectionResetError):
                response.write_now(b"data: late\n\n")
        else:
            response.complete = True
            await response.send_batch(b"data: a\n\ndata: b\n\n")
        await received.wait()
        return response

    connector = aiohttp.TCPConnector(limit=1)
    async with serving(handler, unused_tcp_port) as url, aiohttp.ClientSession(connector=connector) as http:
        for _ in range(2):
            received.clear()
            async with http.get(url) as answer:
                assert await answer.text() == "data: a\n\ndata: b\n\n"
            received.set()


async def test_the_end_of_a_body_is_held_back_until_the_handler_has_returned(unused_tcp_port: int) -> None:
    """A handler that stores what a client may ask for next has stored it by then."""
    events: list[str] = []
    received = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = SSEResponse(send_timeout=5, headers={}, on_stall=lambda: None, ends_with_terminal=False)
        await response.prepare(request)
        response.flush_headers()
        response.complete = True
        response.write_last(b"data: a\n\n")
        await received.wait()
        events.append("returned")
        return response

    async with (
        serving(handler, unused_tcp_port) as url,
        aiohttp.ClientSession() as http,
        http.get(url) as answer,
    ):
        assert await answer.content.readexactly(9) == b"data: a\n\n"
        received.set()
        assert await answer.content.read() == b""
        events.append("ended")
    assert events == ["returned", "ended"]


async def test_a_stalled_reader_is_cut_off_at_the_end_too(tmp_path: Path) -> None:
    """A connection that was full stays paused until most is taken: room in the buffer does not mean that it goes on.

    Over a Unix socket, where the kernel has no send timeout of its own.
    """
    loop = asyncio.get_running_loop()
    full, stalled = asyncio.Event(), asyncio.Event()
    stalls: list[bool] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        response = SSEResponse(
            send_timeout=0.1, headers={}, on_stall=lambda: stalls.append(True), ends_with_terminal=True
        )
        await response.prepare(request)
        response.flush_headers()
        while transport.get_write_buffer_size() <= 66_000:
            response.write_now(b"x" * 2000)
        full.set()
        while transport.get_write_buffer_size() > 28_000:
            await asyncio.sleep(0)
        stalled.set()
        response.complete = True
        async with asyncio.timeout(60):
            await response.send_batch(b"event: error\n\n")
            await response.write_eof()
        return response

    path = tmp_path / "socket"
    with closing(socket.socket(socket.AF_UNIX)) as reader:
        reader.setblocking(False)
        async with serving(handler, path):
            await loop.sock_connect(reader, str(path))
            await loop.sock_sendall(reader, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await full.wait()
            while not stalled.is_set():
                with suppress(BlockingIOError):
                    reader.recv(1000)
                await asyncio.sleep(0)
    assert stalls == [True]


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256, 511, 512, 513, 70_000])
async def test_a_batch_of_any_size_is_one_whole_chunk(unused_tcp_port: int, size: int) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = SSEResponse(send_timeout=5, headers={}, on_stall=lambda: None)
        await response.prepare(request)
        response.flush_headers()
        response.write_now(b"x" * size)
        await response.wait_drained()
        return response

    async with (
        serving(handler, unused_tcp_port) as url,
        aiohttp.ClientSession() as http,
        http.get(url) as answer,
    ):
        assert await answer.read() == b"x" * size


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel's send timeout is Linux's")
@pytest.mark.parametrize("make_runner", [web.AppRunner, AppRunner])
async def test_a_connection_has_the_send_timeout_of_its_last_response(
    unused_tcp_port: int, make_runner: Callable[[web.Application], web.AppRunner]
) -> None:
    """Also after the body: the kernel may still hold the last of it."""
    changed = itertools.cycle([5, 7])
    after: list[int] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        sock = request.transport.get_extra_info("socket")
        seconds = next(changed)
        response = SSEResponse(send_timeout=seconds, headers={}, on_stall=lambda: None)
        await response.prepare(request)
        await response.send_batch(b"data: a\n\n")
        await response.write_eof()
        after.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        return response

    connector = aiohttp.TCPConnector(limit=1)
    async with (
        serving(handler, unused_tcp_port, make_runner) as url,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        for _ in range(3):
            async with http.get(url) as answer:
                await answer.read()
    assert after == [5000, 7000, 5000]
