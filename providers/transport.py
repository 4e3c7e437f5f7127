"""The one seam to the network.

A provider builds an :class:`HttpRequest` and reads an :class:`HttpResponse`; what carries
them is this file's business. The SDKs' own clients say where and with which headers
(:mod:`providers.sdk`), but their request path costs 1.1 ms of CPU a request and their
iterators more per token than all the rest of the server, so the bytes go over one aiohttp
session here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import aiohttp
import msgspec
from aiohttp.http_exceptions import ContentEncodingError

from providers.errors import ProviderError, UpstreamDetail, UpstreamUnavailable, disconnected, malformed_response
from providers.response_body import Body

CONNECT_SECONDS = 10.0
"""TCP and TLS together. A first-token deadline of less ends it sooner."""

MAX_HEADER_BYTES = 64 * 1024
"""The longest header of an answer; some proxies' policies are long."""

LINGER_SECONDS = 1.0
"""How long a connection whose answer is complete may take to end it, and so be used again."""


class HttpRequest(msgspec.Struct, frozen=True):
    """A POST of ``body`` to the absolute ``url``."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class HttpResponse(Protocol):
    """An answer whose body is still arriving.

    Whoever got it calls exactly one of :meth:`close` and :meth:`finish`.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers; a name is found whatever its case."""
        ...

    async def read(self) -> bytes:
        """All bytes that are there, at least one; ``b""`` at the body's proper end.

        Raises :class:`~providers.errors.UpstreamDisconnected` if the body was cut.
        """
        ...

    def close(self) -> None:
        """Close the connection now, without waiting for anything."""
        ...

    def finish(self) -> None:
        """The answer is complete: keep the connection for the next request if the body ends soon."""
        ...


class Transport(Protocol):
    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send and wait for the status and headers of the answer.

        Cancelling it closes the connection. Redirects are not followed: a key would travel.
        Raises :class:`~providers.errors.UpstreamUnavailable` (nothing was sent),
        :class:`~providers.errors.UpstreamDisconnected` (the connection broke before an answer) or
        :class:`~providers.errors.UpstreamError` (the answer is not HTTP).
        """
        ...

    async def aclose(self) -> None: ...


class AiohttpTransport:
    """One aiohttp session, opened at the first request."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise UpstreamUnavailable("The server is shutting down.", sent=False)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit of its own: the server's max_streams is the limit, and a smaller
                # one here would make streams wait for each other unseen.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=30),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A compressed event stream is held back until the compressor flushes.
                headers={"Accept-Encoding": "identity"},
                max_field_size=MAX_HEADER_BYTES,
            )
        return self._session

    async def send(self, request: HttpRequest) -> HttpResponse:
        try:
            response = await self._open().post(
                request.url, headers=request.headers, data=request.body, allow_redirects=False
            )
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise _translate(error) from error
        return AiohttpResponse(response)

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()


class AiohttpResponse:
    """An aiohttp answer behind the seam."""

    __slots__ = ("_body", "_closed", "_response", "_until_close")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._body = Body.of(response.content)
        self._until_close = "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers
        # None if all of the answer is here, and its connection may be another request's already.
        connection = response.connection
        protocol = None if connection is None else connection.protocol
        self._closed = None if protocol is None else protocol.closed
        if self._closed is not None:
            self._closed.add_done_callback(self._lost)

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def read(self) -> bytes:
        body = self._body
        pieces = body.pieces
        if pieces:
            # Of an answer that comes compressed there is always more, and nobody else would have a turn.
            await asyncio.sleep(0)
        while not pieces:
            change = body.change()
            if change is None:
                return self._end()
            await change
        return body.take()

    def _end(self) -> bytes:
        """The body has ended, or failed."""
        error = self._body.exception()
        if error is not None:
            raise self._broken(error) from error
        if self._until_close and self._was_reset():
            raise disconnected("reset")
        return b""

    def close(self) -> None:
        self._forget()
        self._response.close()

    def finish(self) -> None:
        # At the end of the body aiohttp itself gives the connection back to the pool; usually
        # that end is already here, in the packet that held the last event.
        self._forget()
        if not self._body.at_eof():
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._response.close)

    def _lost(self, closed: asyncio.Future[None]) -> None:
        """The connection is gone. aiohttp would leave a body whose chunks make no sense waiting for ever."""
        _look_at(closed)
        if not self._body.is_eof() and self._body.exception() is None:
            self._body.set_exception(aiohttp.ClientPayloadError("the body makes no sense"))

    def _was_reset(self) -> bool:
        closed = self._closed
        return closed is not None and closed.done() and closed.exception() is not None

    def _broken(self, error: BaseException) -> ProviderError:
        if isinstance(error, aiohttp.ClientPayloadError):
            if error.__cause__ is None or isinstance(error.__cause__, ContentEncodingError):
                return malformed_response("not_http")
            return disconnected("reset" if self._was_reset() else "cut")
        return _translate(error)

    def _forget(self) -> None:
        if self._closed is not None and not self._closed.done():
            self._closed.remove_done_callback(self._lost)
            # It may yet fail, and asyncio complains of failures that nobody looks at.
            self._closed.remove_done_callback(_look_at)
            self._closed.add_done_callback(_look_at)


def _look_at(closed: asyncio.Future[None]) -> None:
    if not closed.cancelled():
        closed.exception()


def _translate(error: BaseException) -> ProviderError:
    """What happened, by what happened rather than by the class's family."""
    match error:
        case aiohttp.ServerDisconnectedError():
            return disconnected("closed")
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return UpstreamUnavailable(detail=UpstreamDetail(reason=_why_unavailable(error)), sent=False)
        case aiohttp.InvalidURL() | ValueError():
            return UpstreamUnavailable(
                "The provider's base_url is not a valid address.", detail=UpstreamDetail(reason="address"), sent=False
            )
        case aiohttp.ClientOSError() | OSError():
            return disconnected("reset")
        case _:  # a ClientResponseError: what came is not HTTP
            return malformed_response("not_http")


def _why_unavailable(error: BaseException) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientConnectorCertificateError():
            return "certificate"
        case aiohttp.ClientSSLError():
            return "tls"
        case aiohttp.ConnectionTimeoutError():
            return "connect_timeout"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return "refused"
        case _:
            return "unreachable"
