"""TCP relays on the loopback: what stands between a client and a server, and fails as a test wants it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

R = TypeVar("R", bound="Relay")


class Relay(ABC):
    """A listener whose connections are counted, and aborted at its end. A subclass says what passes through one."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._tasks)

    @abstractmethod
    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; it is aborted when this returns, fails or is cancelled."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            await self.relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def aclose(self) -> None:
        """Abort every connection."""
        for _ in range(5):
            await asyncio.sleep(0)  # a connection that was just accepted has to begin, to be cancelled
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def running_relay(relay: R) -> AsyncIterator[R]:
    """Run ``relay`` on a free port of the loopback."""
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await relay.aclose()
