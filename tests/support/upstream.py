"""A provider's API for tests: a scripted HTTP server on raw sockets that records when each connection closes."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.support.relay import close_listener


@dataclass
class Exchange:
    """A request that the upstream received, and its connection."""

    head: str
    body: bytes
    reader: _Reader
    writer: asyncio.StreamWriter
    keep_alive: bool = False
    """Set by a script to accept another request on the connection."""

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}

    @property
    def path(self) -> str:
        return self.head.split(" ")[1]

    @property
    def closed(self) -> asyncio.Event:
        """Set when the client has closed the connection."""
        return self.reader.closed

    def json(self) -> Any:
        return json.loads(self.body)

    async def send(self, data: bytes | str) -> None:
        """Send raw bytes to the client."""
        self.writer.write(data.encode() if isinstance(data, str) else data)
        await self.writer.drain()

    async def start_stream(self, extra: str = "") -> None:
        """Send the headers of an event stream that ends with its connection."""
        await self.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{extra}Connection: close\r\n\r\n")

    async def answer(
        self, status: int, body: bytes | str, *, content_type: str = "application/json", extra: str = ""
    ) -> None:
        """Send a complete response."""
        data = body.encode() if isinstance(body, str) else body
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(data)}\r\n{extra}"
        # Announce the close, so that no request is sent into the closing connection.
        head += "\r\n" if self.keep_alive else "Connection: close\r\n\r\n"
        await self.send(head.encode() + data)

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_closed(self, seconds: float = 30) -> float:
        """Wait until the client has closed the connection. Return when it did, in ``time.monotonic()``."""
        async with asyncio.timeout(seconds):
            await self.closed.wait()
        return self.reader.closed_at


Script = Callable[[Exchange], Awaitable[None]]
RawScript = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Upstream:
    """The scripted server. ``script`` runs for every request, and can be replaced between requests."""

    script: Script
    port: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    connections: int = 0
    """The number of open connections."""
    accepted: int = 0
    """The number of connections that were ever opened."""
    raw: RawScript | None = None
    """Runs instead of ``script`` on a bare connection, for traffic that is not HTTP."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def exchange(self, number: int = 0, seconds: float = 60) -> Exchange:
        """Wait for the request with that number, and return it."""
        async with asyncio.timeout(seconds):
            while len(self.exchanges) <= number:
                await asyncio.sleep(0.001)
        return self.exchanges[number]

    async def all_closed(self, seconds: float = 30) -> None:
        """Wait until no connection is open."""
        async with asyncio.timeout(seconds):
            while self.connections:
                await asyncio.sleep(0.001)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(reader, _Reader)
        self.connections += 1
        self.accepted += 1
        try:
            while self.raw is None:
                exchange = await _read_request(reader, writer)
                self.exchanges.append(exchange)
                await self._perform(exchange)
                if not exchange.keep_alive:
                    return
            await self.raw(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client closed the connection
        finally:
            self.connections -= 1
            writer.close()

    async def _perform(self, exchange: Exchange) -> None:
        """Run the script until it ends or the client closes the connection."""
        loop = asyncio.get_running_loop()
        script = loop.create_task(_run(self.script, exchange))
        gone = loop.create_task(exchange.closed.wait())
        try:
            await asyncio.wait((script, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            script.cancel()
            gone.cancel()
            await asyncio.gather(script, gone, return_exceptions=True)


class _Reader(asyncio.StreamReader):
    """A reader that records when the client closed the connection."""

    def __init__(self) -> None:
        super().__init__(limit=2**26)
        self.closed = asyncio.Event()
        self.closed_at = 0.0

    def feed_eof(self) -> None:
        super().feed_eof()
        self._close()

    def set_exception(self, exc: BaseException) -> None:
        super().set_exception(exc)  # type: ignore[arg-type]
        self._close()

    def _close(self) -> None:
        if not self.closed.is_set():
            self.closed_at = time.monotonic()
            self.closed.set()


async def _read_request(reader: _Reader, writer: asyncio.StreamWriter) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").removesuffix("\r\n\r\n")
    exchange = Exchange(head, b"", reader, writer)
    exchange.body = await reader.readexactly(int(exchange.headers.get("content-length", "0")))
    return exchange


async def _run(script: Script, exchange: Exchange) -> None:
    with suppress(ConnectionError):
        await script(exchange)


@asynccontextmanager
async def running_upstream(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    """Serve ``script`` on a free port of the loopback."""
    upstream = Upstream(script)
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await upstream._serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()  # the test is over: what was not sent stays so
        finally:
            tasks.discard(task)

    server = await loop.create_server(lambda: asyncio.StreamReaderProtocol(_Reader(), serve), "127.0.0.1", 0, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        await close_listener(server, tasks)


def chunk(content: str | None = None, *, finish: str | None = None, **extra: Any) -> str:
    """Return one event of OpenAI's chat completions."""
    delta = {} if content is None else {"content": content}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **extra,
    }
    return f"data: {json.dumps(body)}\n\n"


def usage_chunk(prompt: int, completion: int) -> str:
    """Return OpenAI's last chunk, with the counts."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return chunk(choices=[], usage=usage)


DONE = "data: [DONE]\n\n"


def answer(*pieces: str) -> Script:
    """Return a script that streams a whole, proper answer of OpenAI's."""

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        for piece in pieces:
            await exchange.send(chunk(piece))
        await exchange.send(chunk(finish="stop") + usage_chunk(7, len(pieces)) + DONE)

    return script


def one_and_later_two(more: asyncio.Event) -> Script:
    """Return a script that streams ``one`` and, once ``more`` is set, ``two`` and a proper end."""

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one"))
        await more.wait()
        await exchange.send(chunk("two") + chunk(finish="stop"))

    return script


class Tap:
    """A provider that sends a piece each time the test says so."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[str | None] = asyncio.Queue()

    def __call__(self, *pieces: str | None) -> None:
        for piece in pieces:
            self.pieces.put_nowait(piece)

    async def script(self, exchange: Exchange) -> None:
        await exchange.start_stream()
        while (piece := await self.pieces.get()) is not None:
            await exchange.send(chunk(piece))
        await exchange.send(chunk(finish="stop") + DONE)
