"""The open response of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp_sse import EventSourceResponse

from streamserver.http.send_timeout import set_send_timeout

BUFFER_BYTES = 64 * 1024
"""More than this waiting in the socket's buffer, and a write waits for the reader to take some."""

_ROOM_BYTES = BUFFER_BYTES // 2
"""Less than this is written without waiting, together with any headers."""

_SMALL_BYTES = 512
_CHUNK_HEADS = [b"%x\r\n" % size for size in range(_SMALL_BYTES)]
"""The precomputed heads of small chunks: a lookup is faster than formatting."""


class ReaderStalled(ConnectionError):
    """The client read nothing for the send timeout; its connection has been closed."""


class ReadingPaused(ConnectionError):
    """Reading from the connection is paused, because too much was sent behind the request. No stream may begin on it: a
    client disconnect would not be seen."""


def check_reading(request: web.BaseRequest) -> None:
    """Raise :class:`ReadingPaused` if the server does not read from the connection of ``request``."""
    transport = request.transport
    if transport is not None and not transport.is_closing() and not transport.is_reading():
        raise ReadingPaused


class SSEResponse(EventSourceResponse):
    """An ``EventSourceResponse`` that writes batches, each under the send timeout.

    aiohttp-sse sets the headers. The kernel gives up on a reader that acknowledges nothing. The tail (:mod:`.tail`)
    sends keepalives.
    """

    # The headers leave with the first event, in one packet; without one, when the tail begins to wait. Where aiohttp
    # has no such attribute they leave at once, which costs a packet:
    # https://github.com/aio-libs/aiohttp/blob/v3.14.1/aiohttp/web_response.py
    _send_headers_immediately = False

    def __init__(
        self,
        *,
        send_timeout: float,
        headers: dict[str, str],
        on_stall: Callable[[], None],
        ends_with_terminal: bool = False,
    ) -> None:
        # The kernel's send timeout is not left to aiohttp-sse, which takes it back at the end of the body: a reader
        # that answers the kernel's probes and takes nothing would keep its connection, and what waits in it, for ever.
        super().__init__(send_timeout=None)
        # aiohttp-sse sets its own; a proxy that may transform may also buffer.
        self.headers["Cache-Control"] = "no-cache, no-transform"
        self.headers.update(headers)
        self.complete = False
        """Whether a terminal event has been written."""
        self._stall_seconds = send_timeout
        self._on_stall = on_stall
        self._ends_with_terminal = ends_with_terminal
        """The end of the body leaves with the terminal event, not when the handler has returned: one packet less."""
        self._transport: asyncio.WriteTransport | None = None
        self._open_transport: asyncio.WriteTransport | None = None
        """The same, until the body ends: what is written after it would be read as the next response's."""
        self._is_chunked = False
        """The body is sent in chunks (HTTP/1.1)."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Begin the response. Raises :class:`ReadingPaused`, or :class:`ConnectionResetError` if the client has
        disconnected."""
        if self.prepared:
            return None  # aiohttp prepares each response that a handler returns
        if request.version < (1, 1):
            # Without chunks the end of the connection is the only end of the body.
            self.force_close()
        if self.keep_alive is False or not request.keep_alive:
            self.headers["Connection"] = "close"
        check_reading(request)
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has disconnected")
        set_by_connection = getattr(request.protocol, "set_send_timeout", None)
        if set_by_connection is not None:
            set_by_connection(self._stall_seconds)
        else:  # a connection of another application's runner
            set_send_timeout(transport, self._stall_seconds)
        # Not aiohttp-sse's own, which starts a task for pings: a comment and a blank line, which popular clients take
        # for an empty event (https://github.com/openai/openai-python/blob/main/src/openai/_streaming.py, "decode").
        writer = await web.StreamResponse.prepare(self, request)
        assert writer is not None
        self._transport = self._open_transport = transport
        self._writer = writer  # aiohttp has it too, until the body ends
        self._is_chunked = bool(getattr(writer, "chunked", False))
        return writer

    def flush_headers(self) -> None:
        """Send the headers now, if no event has taken them along."""
        self._writer.send_headers()

    def write_now(self, data: bytes) -> bool:
        """Write ``data`` without waiting, after the headers have been sent. Return False if the reader is far behind:
        await :meth:`wait_drained` before the next write.

        Raises :class:`ConnectionResetError` if the client has disconnected.
        """
        transport = self._open_transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has disconnected")
        # aiohttp's own write is a coroutine of four calls; this is what it does with a chunk:
        # https://github.com/aio-libs/aiohttp/blob/v3.14.1/aiohttp/http_writer.py (`StreamWriter.write`).
        if self._is_chunked:
            size = len(data)
            data = _CHUNK_HEADS[size] + data + b"\r\n" if size < _SMALL_BYTES else b"%x\r\n%b\r\n" % (size, data)
        self._writer.output_size += len(data)
        transport.write(data)
        return transport.get_write_buffer_size() <= BUFFER_BYTES

    def write_last(self, data: bytes) -> None:
        """Write ``data``, which ends in the terminal event, as :meth:`write_now` does. Nothing may be written after it.

        Raises :class:`ConnectionResetError` if the client has disconnected.
        """
        if self._is_chunked and self._ends_with_terminal:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
            # aiohttp ends a body only if it is chunked, and this one has its end.
            self._is_chunked = self._writer.chunked = False  # type: ignore[attr-defined]  # not in the abstract class
        self.write_now(data)
        self._open_transport = None

    async def send_batch(self, data: bytes) -> None:
        """Write ``data``, the headers before it if they are still here. Waits only for a reader that is far behind.

        Raises :class:`ReaderStalled`, or :class:`ConnectionResetError` if the client has disconnected.
        """
        transport = self._transport
        assert transport is not None
        if (
            self.complete
            and self._ends_with_terminal
            and len(data) < _ROOM_BYTES
            # Less than full is not enough: a transport that was full is paused until most is taken.
            and not transport.get_write_buffer_size()
        ):
            await self._writer.write_eof(data)  # it does not wait
            return
        await self._writer.write(data, drain=False)  # type: ignore[call-arg]  # not in the abstract class
        if transport.get_write_buffer_size() > BUFFER_BYTES:
            await self.wait_drained()

    async def wait_drained(self) -> None:
        """Wait until the reader has taken most of what was written. However slowly it takes it: only when it has
        taken nothing for the send timeout, its connection is cut, and :class:`ReaderStalled` raised."""
        transport = self._transport
        assert transport is not None
        while True:
            waiting = transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self._stall_seconds):
                    return await self._writer.drain()
            except TimeoutError:
                if transport.get_write_buffer_size() >= waiting:
                    transport.abort()
                    self._on_stall()
                    raise ReaderStalled from None

    async def wait_flushed(self) -> None:
        """Wait until the kernel has all that was written, as :meth:`wait_drained` waits."""
        transport = self._transport
        assert transport is not None
        transport.set_write_buffer_limits(high=0)
        await self.wait_drained()
        transport.set_write_buffer_limits()

    def abort(self) -> None:
        """Cut the connection, without an end to the body."""
        self.complete = True
        if self._transport is not None:
            self._transport.abort()

    async def write_eof(self, data: bytes = b"") -> None:
        """End the body; a reader that does not take the last of it is cut off like any other."""
        self._open_transport = None
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size():
            await self.wait_drained()  # returns at once unless the transport has paused writing
        await super().write_eof(data)
