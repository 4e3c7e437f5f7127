"""The handlers of streams: start, create, attach, stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from aiohttp import web

from streamserver.http.apis.native.chat import (
    QUERY_FIELDS,
    Asked,
    ChatFields,
    fields_of_body,
    fields_of_query,
    is_number,
    read_query,
    resolve,
)
from streamserver.http.body import discard_body
from streamserver.http.core import core_of
from streamserver.http.opening import store_unavailable
from streamserver.http.position import position_of
from streamserver.http.problems import Problem, invalid
from streamserver.http.quotas import user_of
from streamserver.http.responses.streaming import answer, attach, read, wait_for_store
from streamserver.http.starting import Started, key_of, start
from streamserver.http.state import DEADLINE
from streamserver.store.base import StoreUnavailable
from streamserver.wire.native import NativeEncoder

_NATIVE = NativeEncoder()
_POSITION = frozenset({"last_event_id"})
_START_BY_QUERY = QUERY_FIELDS | _POSITION | {"idempotency_key"}


async def get_stream(request: web.Request) -> web.StreamResponse:
    """``GET /api/chat/stream``: an answer to what the query asks."""
    query = read_query(request, _START_BY_QUERY)
    await _discard_body(request)
    if position := position_of(request, query.get("last_event_id")):
        return await attach(request, position, _NATIVE)
    _refuse_prefetch(request)
    key = key_of(request, query.get("idempotency_key"))
    return await answer(request, await _start(request, fields_of_query(query), key), _NATIVE)


async def post_stream(request: web.Request) -> web.StreamResponse:
    """``POST /api/chat/stream``: an answer to what the body asks."""
    query = read_query(request, _POSITION)
    if position := position_of(request, query.get("last_event_id")):
        await _discard_body(request)
        return await attach(request, position, _NATIVE)
    return await answer(request, await _start_by_body(request), _NATIVE)


async def create_stream(request: web.Request) -> web.StreamResponse:
    """``POST /api/chat/streams``: start a generation, to be read at the address it answers with."""
    read_query(request, frozenset())
    if position_of(request, None) is not None:
        raise Problem("malformed", "A request with a Last-Event-ID starts nothing; read the stream at its own address.")
    started = await _start_by_body(request)
    if started.new is not None:
        core_of(request).supervisor.launch(started.new)
    stream_id = started.stream.id
    url = f"{request.path}/{stream_id}"
    return web.json_response(
        {"stream_id": stream_id, "url": url},
        status=200 if started.new is None else 201,
        headers={"Location": url, "X-Stream-ID": stream_id, "Cache-Control": "no-store"},
    )


async def attach_stream(request: web.Request) -> web.StreamResponse:
    """``GET /api/chat/streams/{id}``: read a stream, from its start or from a position."""
    query = read_query(request, _POSITION)
    stream_id = request.match_info["stream_id"]
    position = position_of(request, query.get("last_event_id"))
    await _discard_body(request)
    if position is not None:
        if position.stream_id != stream_id:
            raise Problem("malformed", "Last-Event-ID is of another stream than the path.")
        return await attach(request, position, _NATIVE)
    try:
        stream = await core_of(request).find(stream_id)
    except StoreUnavailable:
        return await wait_for_store(request, stream_id, 0, _NATIVE)
    if stream is None:
        raise _unknown_stream()
    return await read(request, stream, 0, _NATIVE)


async def delete_stream(request: web.Request) -> web.StreamResponse:
    """``DELETE /api/chat/streams/{id}``: stop a generation."""
    read_query(request, frozenset())
    try:
        stream = await core_of(request).find(request.match_info["stream_id"])
        if stream is None:
            raise _unknown_stream()
        await stream.stop()
    except StoreUnavailable:
        raise store_unavailable() from None
    return web.Response(status=204)


async def _start_by_body(request: web.Request) -> Started:
    _refuse_prefetch(request)
    key = key_of(request, None)
    core = core_of(request)
    with _body_in_time(request):
        fields = await fields_of_body(request, core.settings.limits.max_body_bytes)
    return await _start(request, fields, key)


async def _discard_body(request: web.Request) -> None:
    with _body_in_time(request):
        await discard_body(request, core_of(request).settings.limits.max_body_bytes)


@contextmanager
def _body_in_time(request: web.Request) -> Iterator[None]:
    """Give what is still to come of the body its deadline."""
    deadline = request[DEADLINE]
    if not request.content.is_eof():
        deadline.set(core_of(request).settings.timeouts.body)
    try:
        yield
    finally:
        deadline.clear()


async def _start(request: web.Request, fields: ChatFields, key: str | None) -> Started:
    body = b"" if key is None else json.dumps(msgspec.to_builtins(fields), sort_keys=True).encode()
    return await start(request, _ask(request, fields), key, body)


def _ask(request: web.Request, fields: ChatFields) -> Asked:
    core = core_of(request)
    return resolve(fields, core.settings, core.catalog, user_of(request), grace=_grace_header(request))


def _refuse_prefetch(request: web.Request) -> None:
    if "prefetch" in request.headers.get("Sec-Purpose", "").lower():
        raise Problem("forbidden", "A prefetch starts no generation.")


def _grace_header(request: web.Request) -> float | None:
    text = request.headers.get("X-Stream-Grace")
    if text is None:
        return None
    most = core_of(request).settings.resume.max_grace_seconds
    if not is_number(text) or not 0 <= float(text) <= most:
        raise invalid("X-Stream-Grace", f"X-Stream-Grace is a number of seconds, at most {most:g}.")
    return float(text)


def _unknown_stream() -> Problem:
    return Problem("not_found", "There is no such stream, or it is not kept any more.")
