"""Connections are taken as they come, also many at once."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, closing

from aiohttp import web

from streamserver.listening import SEND_BUFFER_BYTES, listen
from streamserver.loop import EventLoop
from streamserver.runner import AppRunner, accept

TOGETHER = 64
TURNS = 20


def test_many_connections_are_accepted_in_one_turn_of_the_loop() -> None:
    async def scenario() -> int:
        runner = AppRunner(web.Application())
        await runner.setup()
        assert runner.server is not None
        sock = listen("127.0.0.1", 0)
        address = sock.getsockname()
        await accept(runner, sock)
        try:
            with ExitStack() as stack:
                for _ in range(TOGETHER):  # on the loopback they are connected before anyone accepts them
                    stack.enter_context(closing(socket.create_connection(address)))
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                return len(runner.server.connections)
        finally:
            await runner.cleanup()

    with asyncio.Runner(loop_factory=EventLoop) as loop:
        assert loop.run(scenario()) == TOGETHER


def test_send_buffer_of_a_connection_is_bounded() -> None:
    with listen("127.0.0.1", 0) as sock, closing(socket.create_connection(sock.getsockname())):
        sock.setblocking(True)
        connection, _ = sock.accept()
        with connection:
            # Linux doubles what it is told, for its own records.
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER_BYTES
