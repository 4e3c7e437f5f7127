"""A reader that is slow at the shutdown has the drain time to take what is there, and the server stays for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import aiohttp
import pytest

from streamserver import create_app, settings
from streamserver.listening import listen
from streamserver.runner import AppRunner, _transports, accept
from tests.conftest import StartServer

TOKENS = 100_000
FLOOD: dict[str, Any] = {
    "provider": {"default": "echo"},
    "providers": {"echo": {"kind": "echo", "delay_ms": 0, "tokens": TOKENS}},
    "limits": {"max_tokens": TOKENS},
    "resume": {"max_log_bytes": 100_000_000},
}
LOOKED_AT_BYTES = 2_000_000
"""Of more than 4 MB: the last of it the kernel holds, whatever becomes of the server."""


class Slow:
    """A reader, in HTTP/1.0, that takes only what it is told to; its answer goes on without it."""

    def __init__(self, port: int) -> None:
        self._sock = socket.socket()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self._sock.connect(("127.0.0.1", port))
        self._sock.sendall(b"GET /api/chat/stream?prompt=a&grace=60 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        self._sock.setblocking(False)
        self.taken = bytearray()

    async def take(self) -> bool:
        """Take a bit more; False at the end."""
        async with asyncio.timeout(60):
            data = await asyncio.get_running_loop().sock_recv(self._sock, 64 * 1024)
        self.taken += data
        return bool(data)

    async def take_all(self) -> None:
        while await self.take():
            pass
        assert b"\nevent: done\n" in self.taken, "it was cut"

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
def slow_reader() -> Iterator[Callable[[int], Slow]]:
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(closing(Slow(port)))


async def test_drain_lasts_until_a_slow_reader_has_its_ending(
    start_server: StartServer, http: aiohttp.ClientSession, slow_reader: Callable[[int], Slow]
) -> None:
    server = await start_server({**FLOOD, "server": {"drain_seconds": 60}})
    slow = slow_reader(server.port)
    assert (await server.record())["status"] == "done"
    server.terminate()
    async with asyncio.timeout(60):
        while not server.records("drain"):
            await asyncio.sleep(0.01)
    while len(slow.taken) < LOOKED_AT_BYTES and await slow.take():
        async with http.get(f"{server.url}/readyz") as response:
            assert response.status == 503
    await slow.take_all()
    async with asyncio.timeout(60):
        assert await server.wait() == 0, "no reader is left to be waited for"


async def test_drain_time_bounds_the_wait_for_a_stalled_reader(
    start_server: StartServer, slow_reader: Callable[[int], Slow]
) -> None:
    server = await start_server({**FLOOD, "server": {"drain_seconds": 0.5, "send_timeout_seconds": 60}})
    slow_reader(server.port)
    assert (await server.record())["status"] == "done"
    server.terminate()
    assert await server.wait() == 0


async def test_drain_waits_for_unflushed_bytes(slow_reader: Callable[[int], Slow]) -> None:
    """The answer is over for the server, and its last bytes have not left the process."""
    runner = AppRunner(create_app(settings(FLOOD), environ={}, on_end=lambda _: None))
    await runner.setup()
    sock = listen("127.0.0.1", 0)
    await accept(runner, sock)
    loop, expedite = asyncio.get_running_loop(), asyncio.Event()
    try:
        slow = slow_reader(sock.getsockname()[1])
        async with asyncio.timeout(60):
            while not any(transport.get_write_buffer_size() for transport in _transports(runner)):
                await asyncio.sleep(0.01)
        began = loop.time()
        await runner.wait_flushed(0.2, expedite)
        assert loop.time() - began >= 0.2, "for so long"
        waiting = asyncio.create_task(runner.wait_flushed(60, expedite))
        await asyncio.sleep(0)
        assert not waiting.done()
        await slow.take_all()
        async with asyncio.timeout(60):
            await waiting
        slow_reader(sock.getsockname()[1])
        expedite.set()
        async with asyncio.timeout(60):
            await runner.wait_flushed(60, expedite)
    finally:
        await runner.cleanup()
