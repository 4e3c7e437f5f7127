"""Responses of aiohttp's client, read as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError

from providers._aiohttp import TAKE_BYTES, Body
from providers.connection_errors import translate
from providers.errors import ProviderError, disconnected, malformed_response

BODY_END_SECONDS = 1.0
"""How long the end of a body may take after a complete answer, for its connection to be used again."""


class AiohttpResponse:
    """A response of aiohttp's, read by its documented API. What arrives right before a break may be lost."""

    __slots__ = ("_body", "_closed", "_response", "_until_close")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._body = response.content
        self._until_close = "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers
        # None if the whole response is here, and its connection may serve another request already.
        connection = response.connection
        protocol = None if connection is None else connection.protocol
        self._closed = None if protocol is None else protocol.closed
        if self._closed is not None:
            self._closed.add_done_callback(self._on_closed)

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def read(self) -> bytes:
        # aiohttp's reader does not wait for what is there already: https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/streams.py
        await asyncio.sleep(0)
        if self._body.exception() is None:
            try:
                data = await self._body.read(TAKE_BYTES)
            except Exception as error:
                raise self._broken(self._body.exception() or error) from error
            if data:
                return data
        return self._end()

    def expect_small_reads(self) -> None:
        """Do nothing: the documented API has only one way."""

    def close(self) -> None:
        self._forget()
        self._response.close()

    def finish(self) -> None:
        # aiohttp gives the connection back to its pool at the end of the body; usually that end is here already, in
        # the packet that held the last event.
        self._forget()
        if not self._body.at_eof():
            asyncio.get_running_loop().call_later(BODY_END_SECONDS, self._response.close)

    def _end(self) -> bytes:
        """Return an empty string, or raise what the body failed with."""
        error = self._body.exception()
        if error is not None:
            raise self._broken(error) from error
        if self._until_close and self._was_reset():
            raise disconnected("reset")
        return b""

    def _on_closed(self, closed: asyncio.Future[None]) -> None:
        """End the body: aiohttp leaves one with malformed chunks waiting for ever
        (``ResponseHandler.data_received``): https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/client_proto.py."""
        _retrieve(closed)
        if not self._body.is_eof() and self._body.exception() is None:
            self._body.set_exception(aiohttp.ClientPayloadError("malformed body"))

    def _was_reset(self) -> bool:
        closed = self._closed
        return closed is not None and closed.done() and closed.exception() is not None

    def _broken(self, error: BaseException) -> ProviderError:
        if isinstance(error, aiohttp.ClientPayloadError):
            if error.__cause__ is None or isinstance(error.__cause__, ContentEncodingError):
                return malformed_response("not_http")
            return disconnected("reset" if self._was_reset() else "cut")
        return translate(error)

    def _forget(self) -> None:
        if self._closed is not None and not self._closed.done():
            self._closed.remove_done_callback(self._on_closed)
            self._closed.remove_done_callback(_retrieve)
            self._closed.add_done_callback(_retrieve)


class BodyResponse(AiohttpResponse):
    """A response of aiohttp's, read as a :class:`~providers._aiohttp.Body`."""

    __slots__ = ("_fast_body", "_pieces")

    def __init__(self, response: aiohttp.ClientResponse, body: Body) -> None:
        super().__init__(response)
        self._body = self._fast_body = body
        self._pieces = body.pieces

    async def read(self) -> bytes:
        pieces, body = self._pieces, self._fast_body
        if pieces:
            await asyncio.sleep(0)  # a compressed response always has more: let other tasks run in between
        while not pieces:
            change = body.change()
            if change is None:
                return self._end()
            try:
                piece = await change
            except asyncio.CancelledError:
                body.put_back(change)
                raise
            if piece:
                return piece
        return body.take()

    def expect_small_reads(self) -> None:
        body = self._fast_body
        # aiohttp decompresses between its parser and the body.
        if not body.takes_chunks and "Content-Encoding" not in self.headers:
            body.take_chunks()


def _retrieve(closed: asyncio.Future[None]) -> None:
    """Retrieve the exception: asyncio reports one that is never retrieved."""
    if not closed.cancelled():
        closed.exception()
