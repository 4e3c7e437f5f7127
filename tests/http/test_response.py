"""The open response of a stream, over a real connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from streamserver.http.responses.sse_response import SSEResponse


@asynccontextmanager
async def serving(app: web.Application, port: int) -> AsyncIterator[None]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
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

    app = web.Application()
    app.router.add_get("/", handler)
    connector = aiohttp.TCPConnector(limit=1)
    async with serving(app, unused_tcp_port), aiohttp.ClientSession(connector=connector) as http:
        for _ in range(2):
            async with http.get(f"http://127.0.0.1:{unused_tcp_port}/") as answer:
                assert await answer.text() == "data: a\n\ndata: b\n\n"


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256, 511, 512, 513, 70_000])
async def test_a_batch_of_any_size_is_one_whole_chunk(unused_tcp_port: int, size: int) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = SSEResponse(send_timeout=5, headers={}, on_stall=lambda: None)
        await response.prepare(request)
        response.flush_headers()
        response.write_now(b"x" * size)
        await response.wait_drained()
        return response

    app = web.Application()
    app.router.add_get("/", handler)
    async with (
        serving(app, unused_tcp_port),
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{unused_tcp_port}/") as answer,
    ):
        assert await answer.read() == b"x" * size
