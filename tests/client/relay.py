"""A network that breaks as it is told: a TCP relay to one or several servers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Literal

from tests.support.relay import Relay, running_relay

FaultKind = Literal["refuse", "cut_request", "cut", "close", "freeze", "swallow"]
STARTED = b"event: start\n"


@dataclass(frozen=True)
class Fault:
    """What happens to one connection after ``after`` bytes.

    ``refuse``: it is closed at once. ``cut_request``: it is reset while the request is sent. ``cut`` and ``close``: it
    is reset, or closed, while the response is received. ``freeze``: nothing flows any more, and there is no error.
    ``swallow``: the server is read, and nothing of it arrives.
    """

    kind: FaultKind
    after: int = 0


class FaultRelay(Relay):
    """A relay of connections to ``targets``, in turn. Each connection takes the next fault; without one it is sound."""

    def __init__(self, targets: Iterable[int], faults: Iterable[Fault] = ()) -> None:
        super().__init__()
        self.targets = list(targets)
        self.faults = list(faults)
        self.received = 0
        """How many bytes have come from the servers."""
        self.sent = bytearray()
        """What the clients were sent."""
        self.deletes_to_lose = 0
        """So many of the next DELETE requests are lost, each with its connection."""
        self._told = asyncio.Event()
        self._silent: FaultKind = "freeze"
        self._silent_up_to = 0
        self._online = True
        self._started = False
        """The client has had a `start` event: it knows when silence is death."""

    async def until_sent(self, data: bytes) -> None:
        """Wait until ``data`` has been sent to a client, which may lose it to a cut before its caller has it."""
        async with asyncio.timeout(60):
            while data not in self.sent:
                await asyncio.sleep(0.005)

    async def until_told(self) -> None:
        """Wait until the caller of a client has told that it has read so far: see ``Task.action``."""
        async with asyncio.timeout(60):
            await self._told.wait()

    def cut(self) -> None:
        """Reset every connection."""
        for task in list(self._tasks):
            task.cancel()

    def silence(self, kind: FaultKind) -> None:
        """Let nothing more arrive over the connections that there are: ``freeze`` or ``swallow``."""
        self._silent, self._silent_up_to = kind, self.accepted

    def go_offline(self) -> None:
        """Reset every connection, and each new one."""
        self._online = False
        self.cut()

    def go_online(self) -> None:
        self._online = True

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if not self._online or (fault is not None and fault.kind == "refuse"):
            return
        port = self.targets[self.accepted % len(self.targets)]
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        loop = asyncio.get_running_loop()
        request_limit = fault.after if fault is not None and fault.kind == "cut_request" else None
        request = loop.create_task(self._request(reader, far_writer, request_limit))
        response = loop.create_task(self._respond(far_reader, writer, fault))
        try:
            await asyncio.wait((request, response), return_when=asyncio.FIRST_COMPLETED)
        finally:
            far_writer.transport.abort()  # first: this task may be cancelled once more while it waits
            request.cancel()
            response.cancel()
            await asyncio.gather(request, response, return_exceptions=True)

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        sent = 0
        while data := await reader.read(65536):
            if data.startswith(b"DELETE ") and self.deletes_to_lose:
                self.deletes_to_lose -= 1
                return
            if data.startswith(b"GET /told "):
                self._told.set()
                return
            over = limit is not None and sent + len(data) > limit
            writer.write(data[: limit - sent] if over and limit is not None else data)
            await writer.drain()
            if over:
                return
            sent += len(data)

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None) -> None:
        limit = None if fault is None or fault.kind == "cut_request" else fault.after
        number = self.accepted
        sent = b""
        while data := await reader.read(65536):
            self.received += len(data)
            if number <= self._silent_up_to:
                return await self._break(reader, writer, Fault(self._silent))
            over = limit is not None and len(sent) + len(data) > limit
            piece = data[: limit - len(sent)] if over and limit is not None else data
            writer.write(piece)
            await writer.drain()
            sent += piece
            self.sent += piece
            if STARTED in sent and sent.partition(STARTED)[2].count(b"\n\n"):
                self._started = True
            if over and fault is not None:
                return await self._break(reader, writer, fault)
        await _close(writer)
        return None

    async def _break(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> None:
        if fault.kind == "close":
            await _close(writer)
        elif fault.kind in ("freeze", "swallow") and self._started:
            while fault.kind == "swallow" and await reader.read(65536):
                pass
            await asyncio.get_running_loop().create_future()  # until the client closes it


async def _close(writer: asyncio.StreamWriter) -> None:
    """Send what is there, and close."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def running_fault_relay(*targets: int, faults: Iterable[Fault] = ()) -> AbstractAsyncContextManager[FaultRelay]:
    """Run a relay on a free port of the loopback."""
    return running_relay(FaultRelay(targets, faults))
