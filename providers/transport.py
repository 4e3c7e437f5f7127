"""The transport: how a provider sends a request and reads its response.

Addresses and headers are those of the vendors' SDKs (:mod:`providers.address`), but a request through an SDK costs
1.1 ms of CPU, and its iterators more per token than all the rest of the server. So the bytes go over the connections of
one aiohttp session.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Protocol

import aiohttp
import msgspec

from providers._aiohttp import Body
from providers.connection_errors import PROXY_AUTHENTICATION, refused_by_proxy, translate
from providers.errors import UpstreamUnavailable
from providers.http_response import AiohttpResponse, BodyResponse
from providers.pooled_client import PooledClient


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
        """Prepare for reads of one small chunk each, as the last one was: they become cheaper, all others dearer."""
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
    """A transport over one pool of connections, which is opened by the first request."""

    def __init__(self) -> None:
        self._client: PooledClient | None = None
        self._closed = False

    def _open(self) -> PooledClient:
        if self._closed:
            raise UpstreamUnavailable("The server is shutting down.", sent=False)
        if self._client is None:
            self._client = PooledClient()
        return self._client

    async def send(self, request: HttpRequest) -> HttpResponse:
        proxy = request.route.proxy
        try:
            response = await self._open().post(
                request.url, request.headers, request.body, proxy=proxy, tls=request.route.tls or True
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
        if self._client is not None:
            await self._client.aclose()
