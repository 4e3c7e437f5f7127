"""A network that can break: a TCP relay to a server."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from tests.support.relay import Relay, running_relay


class BreakableRelay(Relay):
    """A relay to ``port`` of the loopback that can be cut; then it takes no connection until it is mended."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._target = port
        self._whole = True

    def cut(self) -> None:
        """Break every connection, and each new one."""
        self._whole = False
        for task in self._tasks:
            task.cancel()

    def mend(self) -> None:
        self._whole = True

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass(reader, far_writer))
                both.create_task(_pass(far_reader, writer))
        except* ConnectionError:
            pass
        finally:
            far_writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    raise ConnectionError("one side has closed")


def running_breakable_relay(port: int) -> AbstractAsyncContextManager[BreakableRelay]:
    """Run a relay to ``port`` on a free port of the loopback."""
    return running_relay(BreakableRelay(port))
