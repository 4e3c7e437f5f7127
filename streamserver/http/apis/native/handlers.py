"""The handlers of the native API: start, create, attach, stop."""

from __future__ import annotations

import msgspec
from aiohttp import web

from streamserver.core.refusals import Refusal, unknown_stream
from streamserver.core.streams import StartResult
from streamserver.http.apis.native.fields import QUERY_FIELDS, ChatFields, fields_of_body, fields_of_query, read_task
from streamserver.http.apis.native.position import Position, position_of
from streamserver.http.apis.wires import (
    claim_of_request,
    grace_of_request,
    idempotency_key,
    read_json_object,
    refuse_prefetch,
)
from streamserver.http.context import RequestContext
from streamserver.http.query import read_query
from streamserver.http.request_body import body_deadline, discard_body
from streamserver.http.responses.respond import respond, respond_expired, respond_from, wait_for_stream
from streamserver.store.base import StoreUnavailable
from streamserver.wire.native_wire import NATIVE_WIRE

_POSITION_PARAMETERS = frozenset({"last_event_id"})
START_PARAMETERS = QUERY_FIELDS | _POSITION_PARAMETERS | {"idempotency_key"}
"""The query parameters of a start by GET."""


async def get_stream(context: RequestContext) -> web.StreamResponse:
    """Start a generation from the query and stream it; with a position, attach (``GET /api/chat/stream``)."""
    query = read_query(context.http, START_PARAMETERS)
    await _discard_body(context)
    if position := position_of(context.http, query.get("last_event_id")):
        return await _attach(context, position)
    refuse_prefetch(context)
    key = idempotency_key(context, query.get("idempotency_key"))
    return await respond(context, await _start(context, fields_of_query(query), key), NATIVE_WIRE)


async def post_stream(context: RequestContext) -> web.StreamResponse:
    """Start a generation from the body and stream it; with a position, attach (``POST /api/chat/stream``)."""
    query = read_query(context.http, _POSITION_PARAMETERS)
    if position := position_of(context.http, query.get("last_event_id")):
        await _discard_body(context)
        return await _attach(context, position)
    return await respond(context, await _start_by_body(context), NATIVE_WIRE)


async def create_stream(context: RequestContext) -> web.StreamResponse:
    """Start a generation, to be read at the address that is returned (``POST /api/chat/streams``)."""
    query = read_query(context.http, _POSITION_PARAMETERS)
    if position_of(context.http, query.get("last_event_id")) is not None:
        raise Refusal("malformed", "A request with a Last-Event-ID starts nothing; read the stream at its own address.")
    started = await _start_by_body(context)
    if started.new is not None:
        started.new.launch()
    stream_id = started.stream.id
    url = f"{context.settings.server.root_path}{context.http.path}/{stream_id}"
    return web.json_response(
        {"stream_id": stream_id, "url": url},
        status=200 if started.new is None else 201,
        headers={"Location": url, "X-Stream-ID": stream_id, "Cache-Control": "no-store"},
    )


async def attach_stream(context: RequestContext) -> web.StreamResponse:
    """Read a stream, from its start or from a position (``GET /api/chat/streams/{stream_id}``)."""
    query = read_query(context.http, _POSITION_PARAMETERS)
    stream_id = context.http.match_info["stream_id"]
    position = position_of(context.http, query.get("last_event_id"))
    await _discard_body(context)
    if position is not None:
        if position.stream_id != stream_id:
            raise Refusal("malformed", "Last-Event-ID is of another stream than the path.")
        return await _attach(context, position)
    try:
        stream = await context.streams.find(stream_id)
    except StoreUnavailable:
        return await wait_for_stream(context, stream_id, NATIVE_WIRE, None, lambda log: False)
    if stream is None:
        raise unknown_stream()
    return await respond_from(context, stream, NATIVE_WIRE)


async def delete_stream(context: RequestContext) -> web.StreamResponse:
    """Stop a generation (``DELETE /api/chat/streams/{stream_id}``)."""
    read_query(context.http, frozenset())
    await context.streams.stop(context.http.match_info["stream_id"])
    return web.Response(status=204)


def has_position(context: RequestContext) -> bool:
    """Return whether a request for a one-shot stream attaches, and so needs no API key.

    It is read exactly as the handler will read it: what one takes for a position the other must not take for
    something else.
    """
    try:
        return position_of(context.http, read_query(context.http, START_PARAMETERS).get("last_event_id")) is not None
    except Refusal:
        return False


async def _attach(context: RequestContext, position: Position) -> web.StreamResponse:
    """Go on after ``position``. Nothing is generated."""
    if position.number is None:
        return web.Response(status=204)
    try:
        stream = await context.streams.find(position.stream_id)
    except StoreUnavailable:
        return await wait_for_stream(context, position.stream_id, NATIVE_WIRE, position.number, position.is_end_of)
    if stream is None:
        return await respond_expired(context, position.stream_id, NATIVE_WIRE)
    if position.is_end_of(stream.log):
        return web.Response(status=204)
    context.services.metrics.reader_resumed()
    return await respond_from(context, stream, NATIVE_WIRE, position.number)


async def _start_by_body(context: RequestContext) -> StartResult:
    refuse_prefetch(context)
    key = idempotency_key(context)
    return await _start(context, fields_of_body(await read_json_object(context)), key)


async def _start(context: RequestContext, fields: ChatFields, key: str | None) -> StartResult:
    caller, settings = context.caller, context.settings
    grace_seconds = grace_of_request(context, fields.grace, has_key=key is not None)
    task = read_task(fields, settings, context.streams.catalog, caller.permissions, grace_seconds=grace_seconds)
    claim = None if key is None else claim_of_request(context, key, msgspec.to_builtins(fields))
    return await context.streams.start(task, caller, claim)


async def _discard_body(context: RequestContext) -> None:
    with body_deadline(context):
        await discard_body(context.http, context.settings.limits.max_body_bytes)
