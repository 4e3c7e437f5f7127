"""Gaps in streams while other clients misbehave, as a ratio to the gaps without them, in the same run.

    python -m benchmarks.hostile http://127.0.0.1:8080 PID

against a server with ``--provider echo``, ``delay_ms = 10``, ``tokens = 500``, wide limits per user,
``timeouts.headers = 60`` and ``ulimit -n`` above 20000. Each misbehaviour is measured between two runs without it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

READERS = 20
_STREAM_REQUEST = b"GET /api/chat/stream?prompt=a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_PING = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

Misbehaviour = Callable[[int], AbstractAsyncContextManager[None]]


async def read(port: int, gaps: list[float]) -> None:
    """Read one stream to its end. Return the times between its writes, in milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_STREAM_REQUEST)
    last = 0.0
    while data := await reader.read(65536):
        now = time.perf_counter()
        if last:
            gaps.append((now - last) * 1000)
        last = now
        if b"\nevent: done\n" in data:
            break
    writer.close()


async def p99(port: int) -> float:
    gaps: list[float] = []
    await asyncio.gather(*(read(port, gaps) for _ in range(READERS)))
    return sorted(gaps)[int(len(gaps) * 0.99)]


@asynccontextmanager
async def idle(port: int) -> AsyncIterator[None]:
    """Open 5,000 connections that send nothing."""
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(5000)]
    yield
    for writer in writers:
        writer.close()


@asynccontextmanager
async def slow_headers(port: int) -> AsyncIterator[None]:
    """Send the headers of 500 requests at a byte per second."""
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(500)]
    loop = asyncio.get_running_loop()

    async def drip() -> None:
        for piece in (b"GET / HTTP/1.1\r\nX: ", *([b"a"] * 600)):
            for writer in writers:
                writer.write(piece)
            await asyncio.sleep(1)

    task = loop.create_task(drip())
    yield
    task.cancel()
    for writer in writers:
        writer.close()


@asynccontextmanager
async def stalled(port: int) -> AsyncIterator[None]:
    """Start 100 streams and read nothing."""
    socks = []
    for _ in range(100):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.send(_STREAM_REQUEST)
        socks.append(sock)
    yield
    for sock in socks:
        sock.close()


@asynccontextmanager
async def flood(port: int) -> AsyncIterator[None]:
    """Send 50,000 pipelined requests on each of 5 connections, and read no response."""
    writers = []
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(_PING * 50_000)
        writers.append(writer)
    yield
    for writer in writers:
        writer.transport.abort()


MISBEHAVIOURS: tuple[Misbehaviour, ...] = (idle, slow_headers, stalled, flood)


async def main(port: int, pid: int) -> None:
    for misbehaviour in MISBEHAVIOURS:
        before = await p99(port)
        async with misbehaviour(port):
            disturbed = await p99(port)
            memory = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())  # noqa: ASYNC240
        after = await p99(port)
        alone = (before + after) / 2
        shown = int(memory[1]) // 1024 if memory else 0
        print(
            f"{misbehaviour.__name__:13} p99 gap {alone:6.2f} ms alone, {disturbed:6.2f} ms with, "
            f"ratio {disturbed / alone:.2f}, server {shown} MB"
        )


if __name__ == "__main__":
    asyncio.run(main(urlsplit(sys.argv[1]).port or 80, int(sys.argv[2])))
