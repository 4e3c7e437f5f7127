"""The one seam to the network.

A provider builds an :class:`HttpRequest` and reads an :class:`HttpResponse`; what carries
them is this file's business. Addresses and headers are those of the vendors' SDKs
(:mod:`providers.address`), but their request path costs 1.1 ms of CPU a request and their
iterators more per token than all the rest of the server, so the bytes go over one aiohttp
session here.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Protocol

import aiohttp
import msgspec

from providers._aiohttp import Body, open_session
from providers.connection_errors import PROXY_AUTHENTICATION, refused_by_proxy, translate
from providers.errors import UpstreamUnavailable
from providers.http_response import AiohttpResponse, BodyResponse

CONNECT_SECONDS = 10.0
"""TCP and TLS together. A first-token deadline of less ends it sooner."""

MAX_HEADER_BYTES = 64 * 1024
"""The longest header of an answer; some proxies' policies are long."""


class Route(msgspec.Struct, frozen=True):
    """The way of a request: the address of a proxy, credentials included, and the trusted certificate authorities.

    None: no proxy, and those of the system.
    """

    proxy: str | None = None
    tls: ssl.SSLContext | None = None


DIRECT = Route()


class HttpRequest(msgspec.Struct, frozen=True):
    """A POST of ``body`` to the absolute ``url``."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    route: Route = DIRECT


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
            self._session = open_session(
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A compressed event stream is held back until the compressor flushes.
                headers={"Accept-Encoding": "identity"},
                max_field_size=MAX_HEADER_BYTES,
            )
        return self._session

    async def send(self, request: HttpRequest) -> HttpResponse:
        proxy = request.route.proxy
        try:
            response = await self._open().post(
                request.url,
                headers=request.headers,
                data=request.body,
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
