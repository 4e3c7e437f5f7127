"""The open response of a stream, over a real connection."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from streamserver.http.response import StreamResponse


async def test_what_is_written_behind_the_end_of_a_body_reaches_nobody(unused_tcp_port: int) -> None:
    """It would be read as the beginning of the connection's next response."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = StreamResponse(send_timeout=5, headers={}, on_stall=lambda: None)
        await response.prepare(request)
        await response.send_batch(b"data: a\n\n")
        assert response.write_now(b"data: b\n\n")
        await response.write_eof()
        with pytest.raises(ConnectionResetError):
            response.write_now(b"data: late\n\n")
        return response

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
            for _ in range(2):
                async with http.get(f"http://127.0.0.1:{unused_tcp_port}/") as answer:
                    assert await answer.text() == "data: a\n\ndata: b\n\n"
    finally:
        await runner.cleanup()
