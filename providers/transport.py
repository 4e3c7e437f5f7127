"""The transport: how a provider sends a request and reads its response.

Addresses and headers are those of the vendors' SDKs (:mod:`providers.address`), but a request through an SDK costs
1.1 ms of CPU, and its iterators more per token than all the rest of the server. So the bytes go over one aiohttp
session.
"""

from __future__ import annotations

import io
import ssl
from collections.abc import Mapping
from typing import Protocol

import aiohttp
import msgspec

from providers._aiohttp import Body
from providers.connection_errors import PROXY_AUTHENTICATION, refused_by_proxy, translate
from providers.connection_pool import open_session
from providers.errors import UpstreamUnavailable
from providers.http_response import AiohttpResponse, BodyResponse

PROVIDER_CONNECT_SECONDS = 10.0
"""The longest time for TCP and TLS together. A shorter first-token deadline ends it sooner."""

LARGE_BODY_BYTES = 512 * 1024
"""A larger body is written in pieces: aiohttp writes bytes at once, and warns of more than a megabyte
(https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/payload.py, ``TOO_LARGE_BYTES_BODY``)."""

MAX_RESPONSE_HEADER_BYTES = 64 * 1024
"""The longest header of a response; some proxies add long policies."""


class ProxyRoute(msgspec.Struct, frozen=True):
    """The way of a request: the address of a proxy, with its credentials, and the trusted certificate authorities.

    None: no proxy, and those of the system.
    """

    proxy: str | None = None
    tls: ssl.SSLContext | None = None


DIRECT = ProxyRoute()


class HttpRequest(msgspec.Struct, frozen=True):
    """A POST of ``body`` to the absolute ``url``."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    route: ProxyRoute = DIRECT


class HttpResponse(Protocol):
    """A response with a body that is still arriving.

    Its receiver calls exactly one of :meth:`close` and :meth:`finish`.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The response's headers; names are found in any case."""
        ...

    async def read(self) -> bytes:
        """Wait for bytes and return them, a bounded number; ``b""`` at the body's proper end.

        Raises :class:`~providers.errors.UpstreamDisconnected` if the body was cut.
        """
        ...

    def expect_small_reads(self) -> None:
        """Make what comes in single chunks cheaper, and all else dearer: the last read was of one event."""
        ...

    def close(self) -> None:
        """Close the connection now, without waiting for anything."""
        ...

    def finish(self) -> None:
        """Keep the connection for the next request, if the body ends soon: the answer in it is complete."""
        ...


class Transport(Protocol):
    """A transport that carries requests to providers."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send ``request``, and wait for the status and headers of the response.

        Cancelling it closes the connection. Redirects are not followed: a key would travel.
        Raises :class:`~providers.errors.UpstreamUnavailable` (nothing was sent),
        :class:`~providers.errors.UpstreamDisconnected` (the connection broke before a response) or
        :class:`~providers.errors.UpstreamError` (the response is not HTTP).
        """
        ...

    async def aclose(self) -> None:
        """Close every connection. Requests that follow raise :class:`~providers.errors.UpstreamUnavailable`."""
        ...


class AiohttpTransport:
    """A transport over one aiohttp session, which is opened by the first request."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise UpstreamUnavailable("The server is shutting down.", sent=False)
        if self._session is None:
            self._session = open_session(
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=PROVIDER_CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A compressed event stream is held back until the compressor flushes.
                headers={"Accept-Encoding": "identity"},
                max_field_size=MAX_RESPONSE_HEADER_BYTES,
            )
        return self._session

    async def send(self, request: HttpRequest) -> HttpResponse:
        proxy = request.route.proxy
        try:
            response = await self._open().post(
                request.url,
                headers=request.headers,
                data=io.BytesIO(request.body) if len(request.body) > LARGE_BODY_BYTES else request.body,
                allow_redirects=False,
                proxy=proxy,
                ssl=request.route.tls or True,
            )
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise translate(error, proxy=proxy) from error
        if proxy is not None and response.status == PROXY_AUTHENTICATION:
            response.close()
            raise refused_by_proxy(response.status)
        body = Body.of(response.content)
        return AiohttpResponse(response) if body is None else BodyResponse(response, body)

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()
