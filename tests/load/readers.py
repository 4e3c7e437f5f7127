"""Stalled readers, and helpers of the load tests."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def stalled_readers(port: int, provider: str, count: int, *, kilobytes: int = 900) -> AsyncIterator[None]:
    """Run ``count`` readers that request ``kilobytes`` from ``provider`` and read nothing.

    The kernel buffers about 200 kB of a response, and the server 64 kB.
    """
    loop = asyncio.get_running_loop()
    body = json.dumps({"prompt": ("x" * 999 + " ") * kilobytes, "provider": provider}).encode()
    head = f"POST /api/chat/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    socks = [socket.socket() for _ in range(count)]
    try:
        for sock in socks:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.sock_sendall(sock, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        yield
    finally:
        for sock in socks:
            sock.close()


async def until(condition: Callable[[], bool], what: str, seconds: float = 240) -> None:
    """Wait for ``condition``."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


def descriptors(pid: int) -> int:
    """Return the number of open files and sockets of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
