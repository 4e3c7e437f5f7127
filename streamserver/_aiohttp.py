"""The server side of aiohttp, as far as it is private: everything here depends on attributes that a release may change.

aiohttp has no public way to bound what a peer sends outside of a body, to give the first headers a deadline, or to
answer a request that its parser refuses: see ``RequestHandler`` in
https://github.com/aio-libs/aiohttp/blob/v3.14.1/aiohttp/web_protocol.py. Where an attribute is missing, :func:`harden`
leaves aiohttp's server as it is: it serves streams without these bounds, and the log says so.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web, web_server
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from loguru import logger

from streamserver.http.context import CONTEXT
from streamserver.http.send_timeout import set_send_timeout
from streamserver.telemetry.refusals import log_refusal
from streamserver.telemetry.tracebacks import log_crash

MAX_LINE_BYTES = 64 * 1024
"""The longest request line, and so the longest URL, that is accepted."""
MAX_HEADER_BYTES = 64 * 1024
"""The longest single header."""
MAX_HEAD_BYTES = 128 * 1024
"""The longest request line with all its headers; the most of them that wait behind a request; the longest trailer."""
CHUNK_BYTES = 8
"""So much may surround each byte of a body: a chunk of one byte has five more."""
IDLE_SECONDS = 75.0
"""How long a connection may wait with its next request: longer than proxies keep theirs (60 s), so that they are
the ones to close."""
PROTOCOL_ATTRIBUTES = (
    "_close",
    "_current_request",
    "_force_close",
    "_keepalive_handle",
    "_loop",
    "_manager",
    "_messages",
    "_next_keepalive_close_time",
    "_pause_transport_reading",
    "_process_keepalive",
    "_reading_paused",
    "_request_count",
    "connection_lost",
    "connection_made",
    "data_received",
    "force_close",
    "handle_error",
    "log_exception",
    "resume_reading",
)
"""What is used of ``RequestHandler``."""
SERVER_ATTRIBUTES = ("_kwargs", "_loop")
"""What is used of a ``web_server.Server``."""


class HttpProtocol(RequestHandler):
    """aiohttp's server protocol, its own errors answered and logged without a word of the request."""

    __slots__ = ("_last_body", "_outside", "_send_seconds")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last_body: StreamReader = EMPTY_PAYLOAD
        """The body of the last request that came."""
        self._outside = 0
        """Bytes that came since: of that body, or of headers that are not complete."""
        self._send_seconds: float | None = None
        """How long the kernel lets a peer take nothing; None: for ever."""

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what the parser refused, or what escaped the application."""
        if status == 400:
            _log_refused("a request that is not HTTP, or too long", type(exc).__name__)
        elif exc is not None and not isinstance(exc, ConnectionError):
            log_crash("a request failed outside the application", exc)
        transport = request.transport
        if transport is None or transport.is_closing() or request.writer.output_size > 0:
            raise ConnectionError("the client has disconnected, or the response has begun")
        response = web.Response(status=status, headers={"Server": "streamserver"})
        response.force_close()
        return response

    def data_received(self, data: bytes) -> None:
        """Bound what a peer sends outside of bodies.

        aiohttp bounds a line, and takes 128 lines to a request, 33 requests behind one that is being answered, and as
        much again after a body in chunks.
        """
        if self._force_close or self._close:
            return
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._last_body = self._messages[-1][1]
            self._outside = 0
        else:
            self._outside += len(data)
        most = MAX_HEAD_BYTES + CHUNK_BYTES * self._last_body.total_bytes
        if self._outside > most or (len(self._messages) > 1 and self._waiting_bytes() > MAX_HEAD_BYTES):
            self._refuse_the_rest()

    def _waiting_bytes(self) -> int:
        """Return the bytes of the headers of the requests that wait for their turn."""
        heads = [message for message, _ in self._messages if isinstance(message, RawRequestMessage)]
        return sum(len(name) + len(value) for head in heads for name, value in head.raw_headers)

    def _refuse_the_rest(self) -> None:
        _log_refused("a request that is not HTTP, or too long", "TooLong")
        if self._current_request is None and self.transport is not None:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.force_close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the first request's headers a deadline, against a peer that sends nothing, or a byte at a time."""
        super().connection_made(transport)
        if not isinstance(self._manager, HttpServer):
            return
        self.set_send_timeout(self._manager.send_seconds())
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
            self._next_keepalive_close_time = self._loop.time() + self._manager.headers_seconds()
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing unless reading is paused. aiohttp calls this after each read of a body, and at its end, and each
        time has its parser look for more, and the transport resume:
        https://github.com/aio-libs/aiohttp/blob/v3.14.1/aiohttp/base_protocol.py."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def set_send_timeout(self, seconds: float) -> None:
        """Set the kernel's send timeout, unless the connection has it already."""
        if seconds != self._send_seconds and self.transport is not None:
            self._send_seconds = seconds
            set_send_timeout(self.transport, seconds)

    def _pause_transport_reading(self) -> None:
        """Cut the connection if it carries a stream and too much has come behind its request: a connection that is not
        read from does not show a client disconnect. What comes behind the end of a stream is the next request.
        Before a stream has begun, :meth:`SSEResponse.prepare` refuses it."""
        request = self._current_request
        context = None if request is None else request.get(CONTEXT)
        opened = None if context is None else context.open_response
        response = None if opened is None else opened.response
        if response is not None and response.prepared and not response.complete and self.transport is not None:
            self.transport.abort()
        else:
            super()._pause_transport_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count a reader that the kernel gave up on (TCP_USER_TIMEOUT), often before our own timer."""
        if isinstance(exc, TimeoutError) and isinstance(self._manager, HttpServer):
            self._manager.reader_dropped()
        super().connection_lost(exc)

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Log the exception without its message, which may quote a header."""
        error = kwargs.get("exc_info")
        if isinstance(error, (RequestPayloadError, HttpProcessingError)):
            _log_refused("invalid content encoding", type(error).__name__)
        elif isinstance(error, BaseException):
            log_crash("a connection failed", error)


def _log_refused(message: str, error_type: str) -> None:
    log_refusal(message, event="refused", by=("error_type",), error_type=error_type)


class HttpServer(web_server.Server):
    """A server that makes :class:`HttpProtocol` for each connection."""

    def send_seconds(self) -> float:
        """Return how long a peer may take nothing. Replaced where there are settings."""
        return IDLE_SECONDS

    def headers_seconds(self) -> float:
        """Return how long a connection's first headers may take. Replaced where there are settings."""
        return IDLE_SECONDS

    def reader_dropped(self) -> None:
        """Count a peer that took nothing for too long. Replaced where there are metrics."""

    def __call__(self) -> RequestHandler:
        return HttpProtocol(self, loop=self._loop, **self._kwargs)


def harden(server: web_server.Server) -> HttpServer | None:
    """Have ``server``, which aiohttp's runner made, bound its peers. Return None if this aiohttp does not allow it."""
    missing = [name for name in PROTOCOL_ATTRIBUTES if not hasattr(RequestHandler, name)]
    missing += [name for name in SERVER_ATTRIBUTES if not hasattr(server, name)]
    if missing:
        logger.bind(event="misconfigured").error(
            "this version of aiohttp is not known: peers are not bounded outside of bodies (missing: {})",
            ", ".join(missing),
        )
        return None
    server.__class__ = HttpServer  # aiohttp's runner makes its own class of server
    assert isinstance(server, HttpServer)
    return server


def cancels_on_disconnect(protocol: object) -> bool:
    """Return whether a client disconnect cancels the handler; True where that cannot be seen.

    aiohttp keeps the option ``handler_cancellation`` on the server alone
    (https://github.com/aio-libs/aiohttp/blob/v3.14.1/aiohttp/web_server.py).
    """
    return bool(getattr(getattr(protocol, "_manager", None), "handler_cancellation", True))
