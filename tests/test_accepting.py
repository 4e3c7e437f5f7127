"""Connections are taken as they come, also many at once."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, closing

import uvloop
from aiohttp import web

from streamserver.runner import AppRunner, accept, listen

TOGETHER = 64
TURNS = 20


def test_readers_that_come_together_do_not_wait_a_turn_of_the_loop_for_each_other() -> None:
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

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        assert loop.run(scenario()) == TOGETHER
