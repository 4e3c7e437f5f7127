"""The handler of chat completions."""

from __future__ import annotations

from aiohttp import web

from streamserver.http.apis.chat.fields import ChatCompletionFields, read_request
from streamserver.http.apis.wires import read_as, read_json_object, select_requested_model, start
from streamserver.http.context import RequestContext
from streamserver.http.responses.respond import respond, respond_whole
from streamserver.wire.chat import CHAT_WIRE


async def create(context: RequestContext) -> web.StreamResponse:
    """Answer whole, or stream with ``"stream": true`` (``POST /v1/chat/completions``)."""
    body = await read_json_object(context)
    fields = read_as(body, ChatCompletionFields)
    entry, model = select_requested_model(context, fields.model)
    request = read_request(context, body, fields, model)
    options = {"include_usage": fields.include_usage}
    started = await start(context, body, request, entry, wire=CHAT_WIRE.name, options=options)
    return await (respond if fields.stream else respond_whole)(context, started, CHAT_WIRE)
