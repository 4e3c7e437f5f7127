"""Answering with a stream, in any wire format: open the response, follow the log, end it once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from streamserver.core.refusals import Refusal, store_unavailable
from streamserver.core.streams import StartResult
from streamserver.http.context import OpenResponse, RequestContext
from streamserver.http.deployment_checks import warn_if_misconfigured
from streamserver.http.responses.ending import end_with, to_response
from streamserver.http.responses.sse_response import SSEResponse, check_reading
from streamserver.http.responses.tail import follow
from streamserver.log.base import Log
from streamserver.log.records import Failed, Start, has_piece
from streamserver.store.base import AWAY_SECONDS, ReadableStream, StoreLost, StoreUnavailable
from streamserver.wire.base import Encoder, Wire

HARD_END_SECONDS = 5.0
"""The extra time before a response that outlives its generation is ended."""
STORE_RETRY_SECONDS = 0.2


async def respond(context: RequestContext, started: StartResult, wire: Wire) -> web.StreamResponse:
    """Answer with a stream that this request started, or found by its key, from its beginning. Launches a new stream.

    Raises :class:`~streamserver.core.refusals.Refusal` if it has as many readers as it may have.
    """
    stream = started.new
    if stream is None:
        return await respond_from(context, started.stream, wire)
    try:
        with stream.reading():
            if wire.commit == "first_piece":
                stream.launch()
                return await _hold_and_follow(context, stream, wire, None)
            encoder = wire.encoder(stream.log.start)
            try:
                opened = await _open(context, stream, wire, encoder)
                # Send the start before the request to the provider.
                data, offset = encoder.encode(0, stream.log.take(0, 1))
                await opened.response.send_batch(data)
            except BaseException:
                if started.has_key:
                    # The client disconnected, or was refused; with its key it may come again, within the grace.
                    stream.launch()
                raise
            stream.launch()
            return await _follow(context, opened, stream.log, offset)
    except Refusal:
        stream.launch()  # other requests found it by its key, took every reader slot, and wait for it
        raise


async def respond_whole(context: RequestContext, started: StartResult, wire: Wire) -> web.StreamResponse:
    """Answer with the whole answer once it is complete. Launches a new stream. A client that disconnects before counts
    as a reader that disconnects.

    Raises :class:`~streamserver.core.refusals.Refusal` if the stream has as many readers as it may have.
    """
    stream = started.stream
    _set_deadline(context, stream.grace_seconds)
    try:
        with stream.reading():
            if started.new is not None:
                started.new.launch()
            log = stream.log
            await _wait_until(log, lambda: log.terminal is not None)
            answer = (
                wire.failure(log.terminal) if isinstance(log.terminal, Failed) else wire.whole(log.take(0, len(log)))
            )
    except StoreLost:
        raise store_unavailable() from None
    return to_response(answer, {"X-Stream-ID": stream.id})


async def respond_from(
    context: RequestContext, stream: ReadableStream, wire: Wire, resume_after: int | None = None
) -> web.StreamResponse:
    """Answer with ``stream``, from what follows event ``resume_after`` on."""
    check_reading(context.http)  # a client that is refused is no reader that leaves
    with stream.reading():
        if wire.commit == "first_piece" and resume_after is None:
            return await _hold_and_follow(context, stream, wire, resume_after)
        encoder = wire.encoder(stream.log.start, resume_after)
        opened = await _open(context, stream, wire, encoder)
        return await _follow(context, opened, stream.log, encoder.offset)


async def wait_for_stream(
    context: RequestContext, stream_id: str, wire: Wire, resume_after: int | None, is_end: Callable[[Log], bool]
) -> web.StreamResponse:
    """Keep a reader while the store cannot be reached, then answer with the stream from ``resume_after`` on.

    If the store stays away the connection closes without a terminal event: ``EventSource`` comes back. ``is_end``
    tells whether the client has the terminal event of a log already.
    """
    opened = await _begin(
        context, stream_id, wire, wire.encoder(_unknown_start(context, stream_id)), context.request_id
    )
    stream = await _find_in_time(context, opened, stream_id)
    if stream is None:
        return await end_with(opened, "stream_expired")
    if is_end(stream.log):
        return opened.response  # the headers have been sent; the client gets a 204 when it reconnects
    _set_deadline(context, stream.grace_seconds)
    encoder = wire.encoder(stream.log.start, resume_after)
    opened = context.open_response = OpenResponse(opened.response, encoder, stream.log.start.request_id)
    try:
        with stream.reading():
            return await _follow(context, opened, stream.log, encoder.offset)
    except Refusal:
        raise StoreLost from None  # the headers have been sent, so no 429 is possible


async def respond_expired(context: RequestContext, stream_id: str, wire: Wire) -> web.StreamResponse:
    """Answer a reader of a stream that is not retained any more in a way that ``EventSource`` can read."""
    encoder = wire.encoder(_unknown_start(context, stream_id))
    opened = await _begin(context, stream_id, wire, encoder, context.request_id)
    return await end_with(opened, "stream_expired")


async def _hold_and_follow(
    context: RequestContext, stream: ReadableStream, wire: Wire, resume_after: int | None
) -> web.StreamResponse:
    """Hold the response until the first piece. A failure before it is a true HTTP status."""
    log = stream.log
    _set_deadline(context, stream.grace_seconds)
    try:
        await _wait_until(log, _FirstPiece(log).is_ready)
    except StoreLost:
        raise store_unavailable() from None
    if isinstance(log.terminal, Failed) and not _FirstPiece(log).has_piece():
        return to_response(wire.failure(log.terminal), {"X-Stream-ID": stream.id})
    encoder = wire.encoder(log.start, resume_after)
    opened = await _open(context, stream, wire, encoder)
    return await _follow(context, opened, log, encoder.offset)


class _FirstPiece:
    """A search for the first piece of an answer in a log that grows."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._offset = 1

    def is_ready(self) -> bool:
        """Return whether there is a piece, or the end."""
        return self.has_piece() or self._log.terminal is not None

    def has_piece(self) -> bool:
        while records := self._log.take(self._offset, 1):
            if has_piece(records[0]):
                return True
            self._offset += 1
        return False


async def _wait_until(log: Log, condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds; it is checked whenever ``log`` has grown."""
    loop = asyncio.get_running_loop()
    while not condition():
        grown: asyncio.Future[None] = loop.create_future()

        def wake(grown: asyncio.Future[None] = grown) -> None:
            if not grown.done():
                grown.set_result(None)

        log.subscribe(wake)
        try:
            await grown
        finally:
            log.unsubscribe(wake)


async def _find_in_time(context: RequestContext, opened: OpenResponse, stream_id: str) -> ReadableStream | None:
    try:
        async with asyncio.timeout(AWAY_SECONDS):
            while True:
                await opened.response.send_batch(opened.encoder.keepalive)
                await _wait_for_store(context)
                try:
                    return await context.streams.find(stream_id)
                except StoreUnavailable:
                    await asyncio.sleep(STORE_RETRY_SECONDS)
    except TimeoutError:
        raise StoreLost from None


async def _wait_for_store(context: RequestContext) -> None:
    try:
        async with asyncio.timeout(context.settings.server.keepalive_seconds):
            await context.services.store.wait_available()
    except TimeoutError:
        pass  # a keepalive is due


async def _open(context: RequestContext, stream: ReadableStream, wire: Wire, encoder: Encoder) -> OpenResponse:
    """Begin the response. From here on a failure is reported by an event in it."""
    services = context.services
    if not services.is_deployment_checked:
        services.is_deployment_checked = True
        warn_if_misconfigured(context.http)
    _set_deadline(context, stream.grace_seconds)
    return await _begin(context, stream.id, wire, encoder, stream.log.start.request_id)


def _set_deadline(context: RequestContext, grace_seconds: float) -> None:
    context.deadline.set(context.services.longest_seconds + grace_seconds + HARD_END_SECONDS)


async def _begin(
    context: RequestContext, stream_id: str, wire: Wire, encoder: Encoder, request_id: str
) -> OpenResponse:
    response = SSEResponse(
        send_timeout=context.settings.server.send_timeout_seconds,
        headers={"X-Stream-ID": stream_id, **wire.headers},
        on_stall=context.services.metrics.reader_dropped,
        ends_with_terminal=wire.ends_with_terminal,
    )
    opened = context.open_response = OpenResponse(response, encoder, request_id)
    await response.prepare(context.http)
    return opened


async def _follow(context: RequestContext, opened: OpenResponse, log: Log, offset: int) -> web.StreamResponse:
    keepalive = context.settings.server.keepalive_seconds
    await follow(log, offset, opened.response, opened.encoder, clock=context.services.clock, keepalive=keepalive)
    return opened.response


def _unknown_start(context: RequestContext, stream_id: str) -> Start:
    return Start(stream_id, context.request_id, "", "")
