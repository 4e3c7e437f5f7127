"""The handlers of Messages."""

from __future__ import annotations

from aiohttp import web

from streamserver.core.token_count import estimate_prompt_tokens
from streamserver.http.apis.messages.fields import read_fields, read_request
from streamserver.http.apis.wires import read_body, select_model, start
from streamserver.http.context import RequestContext
from streamserver.http.responses.respond import respond, respond_whole
from streamserver.wire.messages import MESSAGES_WIRE


async def create(context: RequestContext) -> web.StreamResponse:
    """``POST /v1/messages``: answer whole, or stream with ``"stream": true``."""
    body = await read_body(context)
    fields = read_fields(body)
    entry, model = select_model(context, fields.model)
    request = read_request(context, body, fields, model, warms_cache=entry.kind == "anthropic")
    started = await start(context, body, request, entry, wire=MESSAGES_WIRE.name, options={})
    return await (respond if fields.stream else respond_whole)(context, started, MESSAGES_WIRE)


async def count_tokens(context: RequestContext) -> web.StreamResponse:
    """``POST /v1/messages/count_tokens``: an estimate of the prompt's tokens, by its length. Nothing is generated."""
    body = await read_body(context)
    fields = read_fields({"max_tokens": 1, **body})
    _, model = select_model(context, fields.model)
    request = read_request(context, {"max_tokens": 1, **body}, fields, model, warms_cache=False)
    return web.json_response({"input_tokens": estimate_prompt_tokens(request)}, headers={"Cache-Control": "no-store"})


async def probe(context: RequestContext) -> web.StreamResponse:
    """``HEAD /api/hello``: Claude Code asks whether the server is there, and takes a 405 for no."""
    return web.Response()
