"""The handlers of the hook ``useChat``: send, resume, stop."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from streamserver.core.refusals import Refusal, invalid
from streamserver.core.task import ChatTask
from streamserver.http.apis.ai_sdk.turns import read_turns
from streamserver.http.apis.native.fields import ChatFields, fields_of_body, read_task
from streamserver.http.apis.wires import read_json_object, select_requested_model, start
from streamserver.http.context import RequestContext
from streamserver.http.responses.respond import respond, respond_from
from streamserver.store.base import ReadableStream, StoreUnavailable
from streamserver.wire.ai_sdk import AI_SDK_REPLAY_WIRE, AI_SDK_WIRE
from streamserver.wire.ai_sdk_replay import repeated_chunks

_NATIVE_FIELDS = ("provider", "model", "system", "max_tokens", "temperature", "tools", "tool_choice", "grace")
"""Fields of the native body that count here; the page may send any others, which are ignored."""
_MAX_ID_CHARS = 256


async def send(context: RequestContext) -> web.StreamResponse:
    """Start the answer to a chat's newest message, and stream it (``POST /api/ai/chat``)."""
    body = await read_json_object(context)
    chat_id, messages = _chat_id(body.get("id")), body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("messages", "Expected a list of at least one message.")
    fields = _fields(context, body, messages)
    task = _task(context, fields)
    started = await start(
        context,
        body,
        task.request,
        task.entry,
        wire=AI_SDK_WIRE.name,
        options=_options(messages[-1]),
        names=lambda stream_id: (_chat_name(context, chat_id),),
        requested_grace=fields.grace,
    )
    response = await respond(context, started, AI_SDK_WIRE)
    await _mark_delivered(context, started.stream)
    return response


async def resume(context: RequestContext) -> web.StreamResponse:
    """Replay the newest answer of a chat, 204 if there is nothing to resume (``GET /api/ai/chat/{chat_id}/stream``)."""
    stream = await _find(context)
    if stream is None or (stream.ended and await _is_delivered(context, stream)):
        return web.Response(status=204)
    response = await respond_from(context, stream, AI_SDK_REPLAY_WIRE)
    await _mark_delivered(context, stream)
    return response


async def stop(context: RequestContext) -> web.StreamResponse:
    """Stop the chat's running answer, if there is one (``POST /api/ai/chat/{chat_id}/stop``)."""
    stream = await _find(context)
    if stream is not None and not stream.ended:
        try:
            await context.streams.stop(stream.id)
        except Refusal as refusal:
            if refusal.code != "not_found":  # it ended meanwhile, and is not kept
                raise
    return web.Response(status=204)


def _fields(context: RequestContext, body: dict[str, Any], messages: list[Any]) -> ChatFields:
    given = {name: body[name] for name in _NATIVE_FIELDS if body.get(name) is not None}
    if "model" in given and "provider" not in given:
        entry, given["model"] = select_requested_model(context, given["model"])
        given["provider"] = entry.name
    fields = fields_of_body({**given, "prompt": "."})
    return msgspec.structs.replace(fields, prompt=None, messages=read_turns(messages))


def _task(context: RequestContext, fields: ChatFields) -> ChatTask:
    try:
        return read_task(fields, context.settings, context.streams.catalog, context.caller.permissions, grace_seconds=0)
    except Refusal as refusal:
        if (refusal.field or "").startswith("messages["):
            raise invalid("messages", refusal.detail) from None  # a turn's number is not that of a UI message
        raise


def _options(last: Any) -> dict[str, Any]:
    """Return what a replay must repeat. An answer that continues an assistant's message must have that message's id."""
    if last["role"] != "assistant":
        return {}
    message_id = last.get("id")
    options: dict[str, Any] = {"earlier_chunks": list(repeated_chunks(last["parts"]))}
    return {**options, "message_id": message_id} if isinstance(message_id, str) else options


def _chat_id(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID_CHARS:
        raise invalid("id", f"Expected the chat's id, of 1 to {_MAX_ID_CHARS} characters.")
    return value


def _chat_name(context: RequestContext, chat_id: str) -> str:
    """Return the store's name of a chat's newest stream. Anonymous users share a name space: their ids are secrets."""
    return f"chat:{context.caller.key_name}:{chat_id}"


async def _find(context: RequestContext) -> ReadableStream | None:
    return await context.streams.find_named(_chat_name(context, context.http.match_info["chat_id"]))


async def _mark_delivered(context: RequestContext, stream: ReadableStream) -> None:
    opened = context.open_response
    if stream.ended and opened is not None and opened.response.complete:
        await opened.response.wait_flushed()  # until then the page may leave without the end of its answer
        with suppress(StoreUnavailable):
            await context.streams.store.bind(f"delivered:{stream.id}", stream.id)


async def _is_delivered(context: RequestContext, stream: ReadableStream) -> bool:
    return await context.streams.store.lookup(f"delivered:{stream.id}") is not None
