"""A TCP proxy that can cut and pause connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

from tests.support.relay import Relay, running_relay


class Proxy(Relay):
    """A relay of connections to ``targets`` in turn, and to the next one if a target refuses.

    ``cut`` aborts every connection, ``refuse`` new ones too; ``hold`` pauses them without closing any.
    With ``delay_seconds`` each byte takes so much longer, in both directions.
    """

    def __init__(self, *targets: int) -> None:
        super().__init__()
        self.targets = list(targets)
        self.refusing = False
        self.delay_seconds = 0.0
        self._asking = asyncio.Event()
        self._answering = asyncio.Event()
        self.flow()
        self._turn = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Abort every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def refuse(self) -> None:
        """Abort every connection, and every new one."""
        self.refusing = True
        self.cut()

    def accept(self) -> None:
        self.refusing = False

    def hold(self, *, answers_only: bool = False) -> None:
        """Pause both directions, or only what comes back from the target."""
        self._answering.clear()
        if not answers_only:
            self._asking.clear()

    def flow(self) -> None:
        self._asking.set()
        self._answering.set()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            return
        far_reader, far_writer = await self._connect()
        pair = {writer, far_writer}
        self._writers |= pair
        loop = asyncio.get_running_loop()
        ways = [
            loop.create_task(self._pump(reader, far_writer, self._asking)),
            loop.create_task(self._pump(far_reader, writer, self._answering)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            with suppress(OSError):
                await writer.drain()
        finally:
            # Before anything that waits: the task can be cancelled once more.
            self._writers -= pair
            writer.close()
            far_writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await asyncio.gather(writer.wait_closed(), far_writer.wait_closed(), return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(len(self.targets)):
            self._turn += 1
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self.targets[self._turn % len(self.targets)])
        raise ConnectionRefusedError

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await flowing.wait()
                if self.delay_seconds:
                    asyncio.get_running_loop().call_later(self.delay_seconds, writer.write, data)
                else:
                    writer.write(data)
                    await writer.drain()


def running_proxy(*targets: int) -> AbstractAsyncContextManager[Proxy]:
    """Run a proxy on a free port of the loopback."""
    return running_relay(Proxy(*targets))


async def every(seconds: float, act: Callable[[], None]) -> None:
    """Call ``act`` at intervals of ``seconds``, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        act()
