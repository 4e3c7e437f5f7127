"""An answer that is being read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, TypeAlias

import aiohttp
import msgspec

from streamserver.client.errors import NOT_A_STREAMSERVER, StreamError, not_a_streamserver, refusal_of
from streamserver.client.events import Block, BlockSplitter, DoneEvent, StartEvent, StreamEvent, TextEvent, UnknownEvent
from streamserver.client.reconnection import DEFAULT_KEEPALIVE_SECONDS, Reconnection
from streamserver.client.request import StreamRequest

Status: TypeAlias = Literal["connecting", "open", "quiet", "reconnecting"]
"""``quiet``: connected, and the model says nothing. ``reconnecting``: the connection broke, or there is none yet."""


class _Broken(Exception):
    """The connection ended, or lost something, before there was an ending."""


_BROKEN = (_Broken, aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError)
"""What a broken connection, or one that was tampered with, raises."""


class Answer:
    """An answer: an asynchronous context manager, and an iterable of its events.

    Nothing is sent before it is read. Every loop over it begins at its first event and ends after the ``done`` event,
    or by raising :class:`StreamError`. Leaving the context leaves the answer; what becomes of the generation then is
    decided by the server's grace. ``id`` is the stream's id, None until it has begun, and a secret: it suffices to read
    and to stop the stream. ``position`` is the number of the last event that was given to a loop.
    """

    def __init__(
        self,
        request: StreamRequest,
        *,
        stream_id: str | None = None,
        first: int = 0,
        keepalive_seconds: float = DEFAULT_KEEPALIVE_SECONDS,
        on_status: Callable[[Status], None] | None = None,
    ) -> None:
        self.id = stream_id
        self.position = first - 1 if first else None
        self._request = request
        self._first = first
        self._next = first
        """The number of the next event."""
        self._events: list[tuple[int, StreamEvent]] = []
        self._reconnection = Reconnection(keepalive_seconds, request.give_up_after)
        self._response: aiohttp.ClientResponse | None = None
        self._splitter = BlockSplitter()
        self._attempts = 0
        self._stopping = False
        self._deleted = False
        self._over = False
        self._left = False
        self._ending: DoneEvent | StreamError | None = None
        self._lock = asyncio.Lock()
        """One task reads at a time."""
        self._status: Status | None = None
        self._on_status = on_status

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        return self._iterate()

    async def text(self) -> str:
        """Read to the end and return the whole text. Raises :class:`StreamError` if there is an error instead."""
        await self._finish()
        if isinstance(self._ending, StreamError):
            raise self._ending
        return "".join(event.text for _, event in self._events if isinstance(event, TextEvent))

    async def stop(self) -> DoneEvent | StreamError | None:
        """Stop the generation and return its ending, usually the error ``cancelled``, which loops raise as well.

        None: the answer was left before, and its ending is not known.
        """
        self._stopping = True
        if not self._attempts and self.id is None:
            self._end(_stopped_early())
        while self.id is None and not self._over:
            await self._step()
        if self.id is not None and (self._left or not self._over):
            with suppress(StreamError, *_BROKEN):
                await self._delete(self.id)
            if not self._deleted:
                self._disconnect()  # the next connection begins with it
        await self._finish()
        return self._ending

    async def aclose(self) -> None:
        """Leave the answer."""
        self._left = self._left or not self._over
        self._over = True
        self._disconnect()

    async def __aenter__(self) -> Answer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _iterate(self) -> AsyncIterator[StreamEvent]:
        index = 0
        while True:
            while index < len(self._events):
                number, event = self._events[index]
                index += 1
                self.position = number if self.position is None else max(self.position, number)
                yield event
            if self._over:
                break
            await self._step()
        if isinstance(self._ending, StreamError):
            raise self._ending

    async def _finish(self) -> None:
        while not self._over:
            await self._step()

    async def _step(self) -> None:
        """Connect, or read once, and deal with what breaks."""
        known = len(self._events)
        async with self._lock:
            if self._over or len(self._events) > known:
                return  # another task has read
            try:
                if self._response is None:
                    await self._connect()
                else:
                    await self._receive(self._response)
            except StreamError as error:
                self._disconnect()
                if self._may_pass(error):
                    self._reconnection.refusal = error
                    await self._pause(error)
                else:
                    self._end(error)
            except _BROKEN as error:
                self._disconnect()
                await self._pause(error)
            except BaseException:
                self._disconnect()
                raise

    async def _connect(self) -> None:
        self._reconnection.begin()
        self._set_status("connecting" if not self._attempts else "reconnecting")
        self._attempts += 1
        self._splitter = BlockSplitter()
        async with asyncio.timeout(self._reconnection.most_silence()):
            if self._stopping and self.id is not None and not self._deleted:
                await self._delete(self.id)
            response = await self._send()
            if not _is_stream(response):
                try:
                    raise await refusal_of(response)
                finally:
                    response.close()
        self._response = response
        if response.status == 204:
            self._end(None)  # there is nothing after the position
        elif self._over:
            self._disconnect()
        else:
            self._set_status("open")

    async def _send(self) -> aiohttp.ClientResponse:
        """Start the generation, or find it by its key; once its id is known, go on after the last event."""
        if self.id is None:
            return await self._request.start()
        return await self._request.resume(self.id, self._next)

    async def _delete(self, stream_id: str) -> None:
        async with asyncio.timeout(2 * self._reconnection.keepalive_seconds):
            await self._request.stop(stream_id)
        self._deleted = True

    async def _receive(self, response: aiohttp.ClientResponse) -> None:
        try:
            async with asyncio.timeout(self._reconnection.most_silence()):
                data = await response.content.readany()
        except TimeoutError:
            if self._first:  # resumed after `start`, which would have told the server's keepalive
                self._reconnection.expect_longer_silence()
            raise
        if not data:
            raise _Broken("the response ended before the stream")
        for block in self._splitter.feed(data):
            if self._over:
                return
            self._take(block)

    def _take(self, block: Block) -> None:
        if block.event == "ping":
            self._reconnection.heard()
            self._set_status("quiet")
            return
        stream_id, number = block.position()
        if self.id not in (None, stream_id):
            raise not_a_streamserver(200, "text/event-stream")
        if number is not None and number < self._next:
            return  # seen before
        if number is not None and number > self._next:
            raise _Broken(f"event {self._next} is missing")  # asked for again
        event = block.decode()
        self.id = stream_id
        self._reconnection.heard()
        self._set_status("open")
        if isinstance(event, StartEvent):
            self._reconnection.keepalive_seconds = event.keepalive_seconds
        if not isinstance(event, StreamError | UnknownEvent):
            self._events.append((self._next, event))
        self._next += 1
        if isinstance(event, StreamError | DoneEvent):
            self._end(event)

    async def _pause(self, error: Exception) -> None:
        """Wait before the next connection, or give up."""
        self._reconnection.begin()
        if self._stopping and self.id is None:
            self._end(_stopped_early())
        elif self._reconnection.seconds_left() <= 0:
            self._end(self._reconnection.refusal or self._lost(error))
        if self._over:
            return
        self._set_status("reconnecting")
        await asyncio.sleep(self._reconnection.next_pause(error))

    def _may_pass(self, error: StreamError) -> bool:
        """Return whether to go on after a refusal.

        A gateway's error passes, and so does a full or restarting server for a stream that runs.
        """
        if error.status is None:
            return False
        if self.id is not None:
            return error.status in (200, 408, 429) or error.status >= 500
        return error.status >= 500 and (error.code == NOT_A_STREAMSERVER or self._attempts > 1)

    def _lost(self, cause: Exception) -> StreamError:
        seconds = f"{self._request.give_up_after:g}"
        if self.id is None:
            error = StreamError("unreachable", f"The server could not be reached for {seconds} s.", retryable=True)
        else:
            error = StreamError("connection_lost", f"The server was lost for {seconds} s.", retryable=True)
        error.__cause__ = cause
        return error

    def _end(self, ending: DoneEvent | StreamError | None) -> None:
        self._over = True
        self._ending = ending
        self._disconnect()

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _set_status(self, status: Status) -> None:
        if status != self._status and self._on_status is not None:
            self._on_status(status)
        self._status = status


def _is_stream(response: aiohttp.ClientResponse) -> bool:
    return response.status == 204 or (response.status == 200 and response.content_type == "text/event-stream")


def _stopped_early() -> StreamError:
    return StreamError("cancelled", "The answer was stopped before it began.")
