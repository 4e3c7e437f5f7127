"""Reading a stream over HTTP, in any wire format: its answer, and what follows a position."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from aiohttp import web

from streamserver.core.error_codes import failed
from streamserver.core.refusals import TooManyReaders
from streamserver.http.core import Core, core_of
from streamserver.http.deployment_checks import warn_if_unfit
from streamserver.http.position import Position
from streamserver.http.problems import Problem
from streamserver.http.responses.sse_response import StreamResponse
from streamserver.http.responses.tail import follow
from streamserver.http.starting import Started
from streamserver.http.state import DEADLINE, OPEN_STREAM, REQUEST_ID, OpenStream
from streamserver.log.base import Log
from streamserver.log.records import has_stable_offset
from streamserver.store.base import AWAY_SECONDS, Readable, StoreLost, StoreUnavailable
from streamserver.wire.base import Encoder

HARD_END_SECONDS = 5.0
"""How much longer than its generation may take a response lives at the most."""
RETRY_SECONDS = 0.2


async def answer(request: web.Request, started: Started, encoder: Encoder) -> web.StreamResponse:
    """Read a stream that this request started, or found by its key, from its beginning.

    Raises :class:`Problem` if as many as may read it already.
    """
    core, stream = core_of(request), started.new
    if stream is None:
        return await read(request, started.stream, 0, encoder)
    with ExitStack() as place:
        try:
            place.enter_context(_counted(core, stream))
        except Problem:
            core.supervisor.launch(stream)  # those who found it by its key, and took every place, wait for it
            raise
        try:
            opened = await _open(request, core, stream, encoder)
            # The reader has `start` before the provider is asked.
            data, offset = encoder.encode(stream.id, 0, stream.log.take(0, 1))
            await opened.response.send_batch(data)
        except BaseException:
            if started.has_key:
                core.supervisor.launch(stream)  # the reader has gone; with its key it may come back, within its grace
            raise
        core.supervisor.launch(stream)
        return await _follow(core, opened, stream.log, offset)


async def attach(request: web.Request, position: Position, encoder: Encoder) -> web.StreamResponse:
    """Go on after ``position``. Nothing is generated."""
    if position.offset is None:
        return web.Response(status=204)
    core = core_of(request)
    try:
        stream = await core.find(position.stream_id)
    except StoreUnavailable:
        return await wait_for_store(request, position.stream_id, position.offset + 1, encoder)
    if stream is None:
        return await _expired(await _begin(request, core, position.stream_id, encoder))
    if _is_the_end(stream.log, position.offset):
        return web.Response(status=204)
    core.metrics.reader_resumed()
    return await read(request, stream, position.offset + 1, encoder)


async def read(request: web.Request, stream: Readable, offset: int, encoder: Encoder) -> web.StreamResponse:
    """Follow ``stream`` from ``offset`` on."""
    core = core_of(request)
    with _counted(core, stream):
        opened = await _open(request, core, stream, encoder)
        return await _follow(core, opened, stream.log, offset)


async def wait_for_store(request: web.Request, stream_id: str, offset: int, encoder: Encoder) -> web.StreamResponse:
    """Keep a reader while nobody can say whether there is such a stream; then go on from ``offset``.

    If the store stays away the connection closes without a terminal event: ``EventSource`` comes back.
    """
    core = core_of(request)
    opened = await _begin(request, core, stream_id, encoder)
    stream = await _find_in_time(core, opened)
    if stream is None:
        return await _expired(opened)
    if _is_the_end(stream.log, offset - 1):
        return opened.response  # too late for a 204: it gets one when it comes back
    _limit(request, core, stream.grace_seconds)
    try:
        with stream.reading():
            return await _follow(core, opened, stream.log, offset)
    except TooManyReaders:
        raise StoreLost from None  # too late for a 429, too


async def _find_in_time(core: Core, opened: OpenStream) -> Readable | None:
    try:
        async with asyncio.timeout(AWAY_SECONDS):
            while True:
                await opened.response.send_batch(opened.encoder.keepalive)
                await _store_is_back(core)
                try:
                    return await core.find(opened.stream_id)
                except StoreUnavailable:
                    await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError:
        raise StoreLost from None


async def _store_is_back(core: Core) -> None:
    try:
        async with asyncio.timeout(core.settings.server.keepalive_seconds):
            await core.store.back()
    except TimeoutError:
        pass  # a ping is due


async def _open(request: web.Request, core: Core, stream: Readable, encoder: Encoder) -> OpenStream:
    """Begin the response. From here on a failure is told by an event in it."""
    warn_if_unfit(request)
    _limit(request, core, stream.grace_seconds)
    return await _begin(request, core, stream.id, encoder, stream.log.start.request_id)


def _limit(request: web.Request, core: Core, grace_seconds: float) -> None:
    seconds = core.longest_seconds + grace_seconds + HARD_END_SECONDS
    request[DEADLINE].set(seconds)


async def _begin(
    request: web.Request, core: Core, stream_id: str, encoder: Encoder, request_id: str | None = None
) -> OpenStream:
    timeout = core.settings.server.send_timeout_seconds
    response = StreamResponse(
        send_timeout=timeout, headers={"X-Stream-ID": stream_id}, on_stall=core.metrics.reader_dropped
    )
    opened = OpenStream(stream_id, request_id or request[REQUEST_ID], response, encoder)
    request[OPEN_STREAM] = opened
    await response.prepare(request)
    return opened


async def _follow(core: Core, opened: OpenStream, log: Log, offset: int) -> web.StreamResponse:
    keepalive = core.settings.server.keepalive_seconds
    await follow(log, offset, opened.response, opened.encoder, clock=core.clock, keepalive=keepalive)
    return opened.response


async def _expired(opened: OpenStream) -> web.StreamResponse:
    """A reader that comes back too late is told so in a way that ``EventSource`` can read."""
    opened.response.complete = True
    last = failed("stream_expired", request_id=opened.request_id)
    await opened.response.send_batch(opened.encoder.encode_last(opened.stream_id, last))
    return opened.response


def _is_the_end(log: Log, offset: int) -> bool:
    """Whether who has ``offset`` has the terminal event."""
    return log.terminal is not None and has_stable_offset(log.terminal) and offset == len(log) - 1


@contextmanager
def _counted(core: Core, stream: Readable) -> Iterator[None]:
    try:
        with stream.reading():
            yield
    except TooManyReaders:
        most = core.settings.limits.max_readers_per_stream
        raise Problem(
            "rate_limited", f"{most} readers read this stream already.", retry_after=1, limit="readers"
        ) from None
