"""The handlers of streams: start, create, attach, stop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from streamserver.failures import failed
from streamserver.http.cancellation import warn_if_leaving_goes_unseen
from streamserver.http.chat import QUERY_FIELDS, Asked, ChatFields, fields_of_body, fields_of_query, read_query, resolve
from streamserver.http.core import Core, core_of
from streamserver.http.position import Position, position_of
from streamserver.http.problems import Problem, invalid
from streamserver.http.response import StreamResponse
from streamserver.http.state import KEY_NAME, OPEN_STREAM, REQUEST_ID, TIMEOUT, OpenStream
from streamserver.http.tail import follow
from streamserver.log.base import Log
from streamserver.supervisor import Draining, Stream, TooManyReaders, TooManyStreams
from streamserver.wire.base import Encoder
from streamserver.wire.native import NativeEncoder

HARD_END_SECONDS = 5.0
"""How much longer than its generation may take a response lives at the most."""

_NATIVE = NativeEncoder()
_POSITION = frozenset({"last_event_id"})
_START_BY_QUERY = QUERY_FIELDS | _POSITION | {"idempotency_key"}
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{8,128}")


async def get_stream(request: web.Request) -> web.StreamResponse:
    """``GET /api/chat/stream``: an answer to what the query asks."""
    query = read_query(request, _START_BY_QUERY)
    if position := position_of(request, query.get("last_event_id")):
        return await _attach(request, position)
    _check_start(request, query.get("idempotency_key"))
    return await _answer(request, _ask(request, fields_of_query(query)))


async def post_stream(request: web.Request) -> web.StreamResponse:
    """``POST /api/chat/stream``: an answer to what the body asks."""
    query = read_query(request, _POSITION)
    if position := position_of(request, query.get("last_event_id")):
        return await _attach(request, position)
    return await _answer(request, await _asked_by_body(request))


async def create_stream(request: web.Request) -> web.StreamResponse:
    """``POST /api/chat/streams``: start a generation, to be read at the address it answers with."""
    read_query(request, frozenset())
    asked = await _asked_by_body(request)
    core = core_of(request)
    stream = _open(core, request, asked)
    core.supervisor.launch(stream)
    url = f"{request.path}/{stream.id}"
    return web.json_response(
        {"stream_id": stream.id, "url": url},
        status=201,
        headers={"Location": url, "X-Stream-ID": stream.id, "Cache-Control": "no-store"},
    )


async def attach_stream(request: web.Request) -> web.StreamResponse:
    """``GET /api/chat/streams/{id}``: read a stream, from its start or from a position."""
    query = read_query(request, _POSITION)
    stream_id = request.match_info["stream_id"]
    position = position_of(request, query.get("last_event_id"))
    if position is None:
        stream = core_of(request).supervisor.find(stream_id)
        if stream is None:
            raise _unknown_stream()
        return await _read(request, stream, 0)
    if position.stream_id != stream_id:
        raise Problem("malformed", "Last-Event-ID is of another stream than the path.")
    return await _attach(request, position)


async def delete_stream(request: web.Request) -> web.StreamResponse:
    """``DELETE /api/chat/streams/{id}``: stop a generation."""
    supervisor = core_of(request).supervisor
    stream = supervisor.find(request.match_info["stream_id"])
    if stream is None:
        raise _unknown_stream()
    await supervisor.stop(stream)
    return web.Response(status=204)


async def _answer(request: web.Request, asked: Asked) -> web.StreamResponse:
    """Start a generation and follow it."""
    core = core_of(request)
    stream = _open(core, request, asked)
    with core.supervisor.reading(stream):
        opened = await _open_response(request, core, stream.log, _NATIVE, stream.grace_seconds)
        # The reader has `start` before the provider is asked.
        data, offset = opened.encoder.encode(stream.id, 0, stream.log.take(0, 1))
        await opened.response.send_batch(data)
        core.supervisor.launch(stream)
        return await _follow(core, opened, stream.log, offset)


async def _attach(request: web.Request, position: Position) -> web.StreamResponse:
    """Go on after ``position``. Nothing is generated."""
    if position.offset is None:
        return web.Response(status=204)
    core = core_of(request)
    stream = core.supervisor.find(position.stream_id)
    if stream is None:
        return await _expired(request, core, position.stream_id)
    if stream.ended and position.offset == len(stream.log) - 1:
        return web.Response(status=204)
    return await _read(request, stream, position.offset + 1)


async def _read(request: web.Request, stream: Stream, offset: int) -> web.StreamResponse:
    core = core_of(request)
    with _counted(core, stream):
        opened = await _open_response(request, core, stream.log, _NATIVE, stream.grace_seconds)
        return await _follow(core, opened, stream.log, offset)


async def _follow(core: Core, opened: OpenStream, log: Log, offset: int) -> web.StreamResponse:
    keepalive = core.settings.server.keepalive_seconds
    await follow(log, offset, opened.response, opened.encoder, clock=core.clock, keepalive=keepalive)
    return opened.response


async def _expired(request: web.Request, core: Core, stream_id: str) -> web.StreamResponse:
    """A reader that comes back too late is told so in a way that ``EventSource`` can read."""
    response = StreamResponse(
        send_timeout=core.settings.server.send_timeout_seconds, headers={"X-Stream-ID": stream_id}
    )
    await response.prepare(request)
    response.complete = True
    await response.send_batch(_NATIVE.encode_last(stream_id, failed("stream_expired", request_id=request[REQUEST_ID])))
    return response


async def _open_response(
    request: web.Request, core: Core, log: Log, encoder: Encoder, grace_seconds: float
) -> OpenStream:
    """Begin the response. From here on a failure is told by an event in it."""
    settings = core.settings
    warn_if_leaving_goes_unseen(request)
    request[TIMEOUT].reschedule(
        asyncio.get_running_loop().time() + settings.timeouts.total + grace_seconds + HARD_END_SECONDS
    )
    response = StreamResponse(send_timeout=settings.server.send_timeout_seconds, headers={"X-Stream-ID": log.stream_id})
    opened = OpenStream(log.stream_id, log.start.request_id, response, encoder)
    request[OPEN_STREAM] = opened
    await response.prepare(request)
    return opened


def _open(core: Core, request: web.Request, asked: Asked) -> Stream:
    try:
        return core.supervisor.open(
            asked.request,
            asked.configured,
            request_id=request[REQUEST_ID],
            user=request[KEY_NAME],
            grace_seconds=asked.grace_seconds,
        )
    except TooManyStreams:
        raise Problem("overloaded", "The server runs as many streams as it can. Try again.", retry_after=1) from None
    except Draining:
        raise Problem("shutting_down", "The server is restarting. Try again.", retry_after=1) from None


@contextmanager
def _counted(core: Core, stream: Stream) -> Iterator[None]:
    try:
        with core.supervisor.reading(stream):
            yield
    except TooManyReaders:
        most = core.settings.limits.max_readers_per_stream
        raise Problem("rate_limited", f"{most} readers read this stream already.", retry_after=1) from None


async def _asked_by_body(request: web.Request) -> Asked:
    _check_start(request, None)
    core = core_of(request)
    deadline = request[TIMEOUT]
    deadline.reschedule(asyncio.get_running_loop().time() + core.settings.timeouts.body)
    fields = await fields_of_body(request, core.settings.limits.max_body_bytes)
    deadline.reschedule(None)
    return _ask(request, fields)


def _ask(request: web.Request, fields: ChatFields) -> Asked:
    core = core_of(request)
    return resolve(fields, core.settings, core.catalog, grace=_grace_header(request))


def _check_start(request: web.Request, key_in_query: str | None) -> None:
    """What holds of every request that starts a stream. Raises :class:`Problem`."""
    if "prefetch" in request.headers.get("Sec-Purpose", "").lower():
        raise Problem("forbidden", "A prefetch starts no generation.")
    for field, key in (("Idempotency-Key", request.headers.get("Idempotency-Key")), ("idempotency_key", key_in_query)):
        if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
            raise invalid(field, f"{field} is not 8 to 128 visible ASCII characters.")


def _grace_header(request: web.Request) -> float | None:
    text = request.headers.get("X-Stream-Grace")
    if text is None:
        return None
    if not _SECONDS.fullmatch(text):
        raise invalid("X-Stream-Grace", "X-Stream-Grace is not a number of seconds.")
    return float(text)


def _unknown_stream() -> Problem:
    return Problem("not_found", "There is no such stream, or it is not kept any more.")
