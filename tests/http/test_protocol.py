"""What the HTTP parser refuses is answered without a word about the server or the request."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest

from tests.conftest import StartServer


@pytest.mark.parametrize(
    "request_bytes", [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nBroken\r\n\r\n", b"GET /" + b"x" * 200_000]
)
async def test_bare_400_names_no_version_and_quotes_nothing(start_server: StartServer, request_bytes: bytes) -> None:
    server = await start_server()
    loop, answer = asyncio.get_running_loop(), b""
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", server.port))
        # The server closes without having read what is beyond its limit: then the kernel resets the connection.
        with suppress(ConnectionError):
            await loop.sock_sendall(sock, request_bytes)
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                while piece := await loop.sock_recv(sock, 65_536):
                    answer += piece
    assert answer.startswith(b"HTTP/1.") and b" 400 " in answer.splitlines()[0]
    for word in (b"aiohttp", b"Python", b"NONSENSE", b"Broken", b"xxx"):
        assert word not in answer
