"""Clients: one on a raw socket, for details that a library hides, and helpers over aiohttp."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import aiohttp

from tests.support.sse import DispatchedEvent, Parser, parse

READ_SECONDS = 60.0
"""Longer than anything that a test waits for in silence."""


class RawStream:
    """One request on a socket of its own. The response is read as it arrives."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.parser = Parser()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.raw = b""
        self._chunked = False

    @classmethod
    async def request(
        cls,
        port: int,
        target: str,
        *,
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str] | None = None,
        version: str = "1.1",
        host: str = "",
    ) -> RawStream:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        stream = cls(reader, writer)
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{method} {target} HTTP/{version}", f"Host: {host or f'127.0.0.1:{port}'}"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        writer.write("\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + data)
        return stream

    async def head(self) -> RawStream:
        """Read the status and headers."""
        async with asyncio.timeout(READ_SECONDS):
            block = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = block.removesuffix("\r\n\r\n").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._chunked = self.headers.get("transfer-encoding") == "chunked"
        return self

    async def read(self) -> bytes:
        """Return the next bytes of the body, or ``b""`` at its end."""
        async with asyncio.timeout(READ_SECONDS):
            data = await self._read()
        self.raw += data
        return data

    async def _read(self) -> bytes:
        if not self._chunked:
            return await self.reader.read(65536)
        size = int((await self.reader.readuntil(b"\r\n"))[:-2], 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def events(self, count: int | None = None) -> list[DispatchedEvent]:
        """Return at least the next ``count`` events, or all events until the end of the body."""
        events: list[DispatchedEvent] = []
        while count is None or len(events) < count:
            data = await self.read()
            if not data:
                break
            events += self.parser.feed(data)
        return events

    def close(self) -> None:
        self.writer.close()


def stream_url(base: str, prompt: str = "hello big world", **parameters: object) -> str:
    """Return the URL that starts and streams an answer with one GET."""
    extra = "".join(f"&{name}={quote(str(value), safe='')}" for name, value in parameters.items())
    return f"{base}/api/chat/stream?prompt={quote(prompt, safe='')}{extra}"


async def get_events(http: aiohttp.ClientSession, url: str, **options: Any) -> list[DispatchedEvent]:
    """Return all events of a GET that must be answered with 200."""
    async with http.get(url, **options) as response:
        assert response.status == 200, await response.text()
        return parse(await response.read())


async def post_events(http: aiohttp.ClientSession, url: str, body: Any, **options: Any) -> list[DispatchedEvent]:
    """Return all events of a POST that must be answered with 200."""
    async with http.post(f"{url}/api/chat/stream", json=body, **options) as response:
        assert response.status == 200, await response.text()
        return parse(await response.read())


async def until_listening(port: int) -> None:
    """Wait until a server accepts connections on ``port`` of the loopback."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
