"""An answer is resumed until its end has been written to a page's connection."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import closing

import aiohttp
import pytest

from streamserver import create_app, settings
from streamserver.http.services import SERVICES
from streamserver.listening import listen
from streamserver.runner import AppRunner, accept
from tests.http.test_ai_sdk import PATH, body, text_of

TEXT = "x" * 50_000
"""More than the kernel holds below, and less than the server waits for."""


@pytest.fixture
async def server() -> AsyncIterator[AppRunner]:
    """Return a server with small send buffers: the kernel holds little of what a page has not read."""
    config = settings(
        {
            "provider": {"default": "echo"},
            "providers": {"echo": {"kind": "echo", "delay_ms": 0}},
            "limits": {"max_prompt_chars": len(TEXT)},
        }
    )
    runner = AppRunner(create_app(config, environ={}, on_end=lambda _: None))
    await runner.setup()
    sock = listen("127.0.0.1", 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await accept(runner, sock)
    yield runner
    await runner.cleanup()


async def test_answer_is_replayed_to_a_page_that_left_before_its_end_was_written(
    server: AppRunner, http: aiohttp.ClientSession
) -> None:
    loop, supervisor = asyncio.get_running_loop(), server.app[SERVICES].supervisor
    address = server.addresses[0]
    data = json.dumps(body(TEXT, grace=30)).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    with closing(socket.socket()) as page:
        page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        page.setblocking(False)
        await loop.sock_connect(page, address)
        await loop.sock_sendall(page, f"{head}\r\n\r\n".encode() + data)
        async with asyncio.timeout(60):
            while not supervisor.retained:
                await asyncio.sleep(0.01)
    for status, text in ((200, TEXT), (204, "")):
        async with http.get(f"http://127.0.0.1:{address[1]}{PATH}/c/stream") as response:
            answer = await response.read()
            assert (response.status, answer and text_of(answer)) == (status, text or b"")
