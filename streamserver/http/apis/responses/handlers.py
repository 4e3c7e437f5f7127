"""The handlers of Responses: create, retrieve, cancel, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from streamserver.core.refusals import Refusal, invalid
from streamserver.core.streams import StartResult
from streamserver.http.apis.responses.fields import ResponsesFields, echo_of, read_fields, read_request
from streamserver.http.apis.responses.retained import (
    bind_items,
    find_response,
    forget_response,
    resolve_references,
    response_name,
)
from streamserver.http.apis.wires import read_json_object, select_requested_model, start
from streamserver.http.context import RequestContext
from streamserver.http.responses.ending import to_response
from streamserver.http.responses.respond import respond, respond_from, respond_whole
from streamserver.store.base import ReadableStream
from streamserver.wire.base import HTTPAnswer
from streamserver.wire.events import to_json
from streamserver.wire.responses import BACKGROUND_RESPONSES_WIRE, RESPONSES_WIRE, current_response
from streamserver.wire.responses_object import response_id

_BYTES_PER_CHAR = 4
"""The most that a character takes in UTF-8."""


async def create(context: RequestContext) -> web.StreamResponse:
    """Answer whole, or stream, or in the background (``POST /v1/responses``)."""
    body = await read_json_object(context)
    fields = read_fields(body)
    entry, model = select_requested_model(context, fields.model)
    resolved = await _with_items(context, body)
    request = read_request(context, resolved, fields, model)
    started = await start(
        context,
        body,
        request,
        entry,
        wire=RESPONSES_WIRE.name,
        options=echo_of(body),
        names=lambda stream_id: (response_name(response_id(stream_id)),),
        is_detached=bool(fields.background),
    )
    return await _respond(context, fields, started)


async def retrieve(context: RequestContext) -> web.StreamResponse:
    """Return the Response as it is now, or its events with ``stream=true`` (``GET /v1/responses/{id}``)."""
    stream = await _stream_of(context)
    query = context.http.query
    streamed = query.get("stream", "false").lower()
    if streamed not in ("true", "false"):
        raise invalid("stream", "Expected true or false.")
    if streamed == "false":
        return await _response_now(context, stream)
    after = query.get("starting_after")
    if after is not None and not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise invalid("starting_after", "Expected a sequence number.")
    try:
        return await respond_from(context, stream, BACKGROUND_RESPONSES_WIRE, None if after is None else int(after))
    finally:
        await bind_items(context.streams, context.caller, stream.log)


async def cancel(context: RequestContext) -> web.StreamResponse:
    """Stop the generation, if it still runs (``POST /v1/responses/{id}/cancel``)."""
    stream = await _stream_of(context)
    if not stream.ended:
        await context.streams.stop(stream.id)
    return await _response_now(context, stream)


async def delete(context: RequestContext) -> web.StreamResponse:
    """Stop the generation if it still runs, and forget the Response (``DELETE /v1/responses/{id}``)."""
    stream = await _stream_of(context)
    if not stream.ended:
        await context.streams.stop(stream.id)
    await forget_response(context.streams, context.caller, stream)
    return _answer({"id": response_id(stream.id), "object": "response", "deleted": True})


async def not_served(context: RequestContext) -> web.StreamResponse:
    """Refuse an address of OpenAI's that this server does not have."""
    raise Refusal("not_found", "This server does not have this address of OpenAI's.")


async def _respond(context: RequestContext, fields: ResponsesFields, started: StartResult) -> web.StreamResponse:
    if fields.background and started.new is not None:
        started.new.launch()  # it goes on whether its client stays or not
    if fields.background and not fields.stream:
        return await _response_now(context, started.stream)
    wire = BACKGROUND_RESPONSES_WIRE if fields.background else RESPONSES_WIRE
    try:
        return await (respond if fields.stream else respond_whole)(context, started, wire)
    finally:
        await bind_items(context.streams, context.caller, started.stream.log)


async def _with_items(context: RequestContext, body: dict[str, Any]) -> dict[str, Any]:
    items = body.get("input")
    if not isinstance(items, list):
        return body
    max_bytes = _BYTES_PER_CHAR * context.settings.limits.max_conversation_chars
    return {**body, "input": await resolve_references(context.streams, context.caller, items, max_bytes)}


async def _stream_of(context: RequestContext) -> ReadableStream:
    return await find_response(context.streams, context.caller, context.http.match_info["response_id"])


async def _response_now(context: RequestContext, stream: ReadableStream) -> web.Response:
    response = await current_response(stream.log)
    await bind_items(context.streams, context.caller, stream.log, response)
    return _answer(response, {"X-Stream-ID": stream.id})


def _answer(body: dict[str, Any], headers: Mapping[str, str] = {}) -> web.Response:
    return to_response(HTTPAnswer(200, to_json(body)), headers)
