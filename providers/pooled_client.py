"""POSTs over the pool of connections.

A session of aiohttp's merges headers, and looks for cookies, passwords, proxies and redirects: of a request over a kept
connection that is a third. Requests that need none of it are sent without a session's steps.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Mapping

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from providers._aiohttp import can_send_without_session
from providers.connection_pool import (
    NO_TIMER,
    STREAM_HEADERS,
    Connector,
    TrackedRequest,
    open_session,
    send_again_if_unprocessed,
)

CONNECT_SECONDS = 10.0
"""The longest time for TCP and TLS together. A shorter first-token deadline ends it sooner."""

LARGE_BODY_BYTES = 512 * 1024
"""A larger body is written in pieces: aiohttp writes bytes at once, and warns of more than a megabyte
(https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/payload.py, ``TOO_LARGE_BYTES_BODY``)."""

SMALL_BODY_BYTES = 60 * 1024
"""No larger body is written without waiting: with its head it fits into the buffer of a transport (64 KiB)."""

MAX_RESPONSE_HEADER_BYTES = 64 * 1024
"""The longest header of a response; some proxies add long policies."""

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)


class PooledClient:
    """A client that keeps its connections, and follows no redirects. It is opened in the loop that uses it."""

    def __init__(self) -> None:
        self._session = open_session(
            timeout=_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=STREAM_HEADERS,
            max_field_size=MAX_RESPONSE_HEADER_BYTES,
        )
        self._loop = asyncio.get_running_loop()
        self._connector = self._session.connector
        self._sends_directly = isinstance(self._connector, Connector) and can_send_without_session()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, proxy: str | None, tls: ssl.SSLContext | bool
    ) -> aiohttp.ClientResponse:
        """Send ``body``, and wait for the head of the response. Raises as ``ClientSession.post`` does."""
        if self._sends_directly and proxy is None and "@" not in url and len(body) <= SMALL_BODY_BYTES:
            return await send_again_if_unprocessed(self._request(url, headers, body, tls), self._connect_and_send)
        data = io.BytesIO(body) if len(body) > LARGE_BODY_BYTES else body
        return await self._session.post(url, headers=headers, data=data, allow_redirects=False, proxy=proxy, ssl=tls)

    async def aclose(self) -> None:
        await self._session.close()

    def _request(
        self, url: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext | bool
    ) -> aiohttp.ClientRequest:
        head = CIMultiDict(headers)
        head[hdrs.CONTENT_LENGTH] = str(len(body))
        request = TrackedRequest(
            "POST",
            URL(url),
            headers=head,
            loop=self._loop,
            session=self._session,
            ssl=tls,
        )
        request.whole_body = body
        return request

    async def _connect_and_send(self, request: aiohttp.ClientRequest) -> aiohttp.ClientResponse:
        """Do the same as a session with a request that is ready to be sent:
        https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/client.py (``_connect_and_send_request``)."""
        assert self._connector is not None
        try:
            connection = await self._connector.connect(request, traces=[], timeout=_TIMEOUT)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        try:
            assert connection.protocol is not None
            connection.protocol.set_response_params(
                timer=NO_TIMER, read_until_eof=True, max_field_size=MAX_RESPONSE_HEADER_BYTES
            )
            response = await request.send(connection)
            try:
                return await response.start(connection)
            except BaseException:
                response.close()
                raise
        except BaseException:
            connection.close()
            raise
