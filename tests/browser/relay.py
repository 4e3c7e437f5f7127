"""A network that can break: a TCP relay to a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Relay:
    """Passes bytes on to ``port`` of the loopback until it is cut; then it takes no connection until it is mended."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._whole = True
        self.url = ""

    def cut(self) -> None:
        """Break every connection, and each new one."""
        self._whole = False
        for task in self._tasks:
            task.cancel()

    def mend(self) -> None:
        self._whole = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._whole:
                await self._relay(reader, writer)
        except (asyncio.CancelledError, ConnectionError):
            pass  # cut, or the browser has gone
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass(reader, to_there))
                both.create_task(_pass(there, writer))
        except* ConnectionError:
            pass
        finally:
            to_there.transport.abort()

    async def settle(self) -> None:
        """Wait until every connection is gone."""
        self.cut()
        await asyncio.gather(*self._tasks)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    raise ConnectionError("one side has closed")


@asynccontextmanager
async def running_relay(port: int) -> AsyncIterator[Relay]:
    """A relay to ``port``, on a free one."""
    relay = Relay(port)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        server.close()
        await relay.settle()
