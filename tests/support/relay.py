"""TCP relays on the loopback: what stands between a client and a server, and fails as a test wants it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, TypeVar

R = TypeVar("R", bound="Relay")


class Relay(ABC):
    """A listener that counts its connections, and aborts them at its end. A subclass says what passes through one."""

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

    async def aclose(self, server: asyncio.Server) -> None:
        """Close ``server``, which accepts the connections, and abort them."""
        await close_listener(server, self._tasks)


@asynccontextmanager
async def running_relay(relay: R) -> AsyncIterator[R]:
    """Run ``relay`` on a free port of the loopback."""
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        await relay.aclose(server)


async def close_listener(server: asyncio.Server, tasks: Collection[asyncio.Task[Any]]) -> None:
    """Close ``server`` and cancel ``tasks``, which serve its connections and are removed from there at their end.

    asyncio leaves the socket of a connection open that is accepted just before ``Server.close``, so the listener stops
    accepting first, and is closed once each connection has its task: https://github.com/python/cpython/issues/109564
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener)
    for _ in range(5):
        await asyncio.sleep(0)  # a connection that was just accepted has to begin, to be cancelled
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    server.close()
