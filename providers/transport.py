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

from providers.errors import ProviderError, UpstreamDisconnected, UpstreamError, UpstreamUnavailable

CONNECT_SECONDS = 10.0
"""TCP and TLS together. A first-token deadline of less ends it sooner."""

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
    def headers(self) -> Mapping[str, str]: ...

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

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                # No limit of its own: the server's max_streams is the limit, and a smaller
                # one here would make streams wait for each other unseen.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=30),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A compressed event stream is held back until the compressor flushes.
                headers={"Accept-Encoding": "identity"},
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
        if self._session is not None:
            await self._session.close()


class AiohttpResponse:
    """An aiohttp answer behind the seam."""

    __slots__ = ("_read", "_response")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._read = response.content.readany

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def read(self) -> bytes:
        try:
            return await self._read()
        except (aiohttp.ClientError, OSError) as error:
            raise _translate(error) from error

    def close(self) -> None:
        self._response.close()

    def finish(self) -> None:
        # At the end of the body aiohttp itself gives the connection back to the pool; usually
        # that end is already here, in the packet that held the last event.
        if not self._response.content.at_eof():
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._response.close)


def _translate(error: BaseException) -> ProviderError:
    """What happened, by what happened rather than by the class's family."""
    match error:
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return UpstreamDisconnected()
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return UpstreamUnavailable(sent=False)
        case aiohttp.InvalidURL() | ValueError():
            return UpstreamUnavailable("The provider's base_url is not a valid address.", sent=False)
        case aiohttp.ClientOSError() | OSError():
            return UpstreamDisconnected()
        case _:  # a ClientResponseError: what came is not HTTP
            return UpstreamError("The model's provider sent an answer that makes no sense.")
