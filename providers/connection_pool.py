"""The pool of connections to providers.

A connection is kept for the next request only if it can be watched while it is idle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection as PooledConnection
from aiohttp.helpers import TimerNoop
from aiohttp.http_writer import StreamWriter
from aiohttp.tracing import Trace
from aiohttp.typedefs import LooseHeaders

from providers._aiohttp import WatchedConnection, watch_connections

KEEP_SECONDS = 30.0
"""How long an idle connection is kept."""

DNS_SECONDS = 30
"""How long the addresses of a name are remembered."""

STREAM_HEADERS: Mapping[str, str] = {hdrs.ACCEPT_ENCODING: "identity"}
"""Headers of each request: a compressed event stream is held back until the compressor flushes."""

NO_TIMER = TimerNoop()
"""A request's deadlines are the caller's."""


class UnsolicitedData(aiohttp.ClientError):
    """The server spoke before it was asked."""


class TrackedRequest(aiohttp.ClientRequest):
    """A request that tells its :class:`WatchedConnection` when it is sent."""

    connection: WatchedConnection | None = None
    """The last that it was given."""
    needs_new_connection = False
    whole_body: bytes | None = None
    """A body that is written with the head, where aiohttp starts a task for its own."""

    def update_headers(self, headers: LooseHeaders | None) -> None:
        """Set the headers that each request has, and ``headers`` in one step, where aiohttp takes one for each."""
        super().update_headers(STREAM_HEADERS)
        self.headers.update(headers or {})

    async def send(self, conn: PooledConnection) -> aiohttp.ClientResponse:
        if isinstance(conn.protocol, WatchedConnection):
            conn.protocol.hold()
            if self.whole_body is not None:
                return await self._send_whole(conn.protocol, self.whole_body)
        return await super().send(conn)

    async def _send_whole(self, connection: WatchedConnection, body: bytes) -> aiohttp.ClientResponse:
        """Write head and body at once: https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/client_reqrep.py
        (``ClientRequest.send``)."""
        connection.listen()
        writer = StreamWriter(connection, self.loop)
        await writer.write_headers(f"{self.method} {self.url.raw_path_qs} HTTP/1.1", self.headers)
        await writer.write(body, drain=False)
        connection.start_timeout()
        return aiohttp.ClientResponse(
            self.method,
            self.url,
            writer=None,
            continue100=None,
            timer=NO_TIMER,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self.session,
            stream_writer=writer,
        )

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: PooledConnection, content_length: int | None = None
    ) -> None:
        # Before Python 3.12 this is a task of its own, so that something may arrive between `send` and this:
        # https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/client_reqrep.py (`ClientRequest.send`)
        if isinstance(conn.protocol, WatchedConnection):
            conn.protocol.listen()
        await super().write_bytes(writer, conn, content_length)


class Connector(aiohttp.TCPConnector):
    """A pool that gives out no connection on which anything arrived while it was idle."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> PooledConnection:
        assert isinstance(req, TrackedRequest)
        while True:
            pooled = await super().connect(req, traces, timeout)
            connection = pooled.protocol
            assert isinstance(connection, WatchedConnection)
            if not connection.used:
                _check_new(connection, pooled)
                break
            if connection.is_usable() and not req.needs_new_connection:
                break
            pooled.close()
        pooled.add_callback(connection.rest)
        req.connection = connection
        return pooled


def _check_new(connection: WatchedConnection, pooled: PooledConnection) -> None:
    """Raise an error of aiohttp's if ``connection`` ended, or something arrived on it, before it was used."""
    if connection.should_close:
        error = UnsolicitedData() if connection.is_connected() else aiohttp.ServerDisconnectedError()
        pooled.close()
        raise error


async def send_again_if_unprocessed(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send ``request``, and once more over a new connection if a kept one turns out to be dead.

    aiohttp does so for idempotent methods only, whatever the connection was before
    (https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/client.py, ``retry_persistent_connection``).
    The other kept connections to the same server are closed: they are as old, and would each cost an attempt.
    """
    assert isinstance(request, TrackedRequest)
    try:
        return await send(request)
    except (aiohttp.ServerDisconnectedError, OSError):
        connection = request.connection
        if connection is None:
            raise
        if connection.got_unsolicited_data and not connection.reused:
            raise UnsolicitedData from None
        if not connection.is_unprocessed():
            raise
    request.needs_new_connection = True
    return await send(request)


def open_session(**options: Any) -> aiohttp.ClientSession:
    """Open a session without a limit of connections; ``options`` are those of :class:`aiohttp.ClientSession`."""
    # The server's max_streams is the limit; a smaller one here would make streams wait for each other unseen.
    connector = Connector(limit=0, ttl_dns_cache=DNS_SECONDS, keepalive_timeout=KEEP_SECONDS)
    if watch_connections(connector):
        return aiohttp.ClientSession(
            connector=connector, request_class=TrackedRequest, middlewares=(send_again_if_unprocessed,), **options
        )
    plain = aiohttp.TCPConnector(limit=0, ttl_dns_cache=DNS_SECONDS, force_close=True)
    return aiohttp.ClientSession(connector=plain, **options)
