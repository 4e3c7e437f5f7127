"""The handlers of Messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from providers.base import ChatRequest
from providers.catalog import ProviderEntry
from providers.errors import ProviderError
from providers.resilience import Deadline
from streamserver.core.error_codes import failed_with
from streamserver.core.refusals import Refusal, draining
from streamserver.core.token_count import estimate_prompt_tokens
from streamserver.http.apis.messages.fields import MessagesFields, read_max_tokens, read_request
from streamserver.http.apis.wires import read_as, read_json_object, select_requested_model, start
from streamserver.http.context import RequestContext
from streamserver.http.responses.ending import to_response
from streamserver.http.responses.respond import respond, respond_whole
from streamserver.wire.base import HTTPAnswer
from streamserver.wire.events import to_json
from streamserver.wire.messages import MESSAGES_WIRE


async def create(context: RequestContext) -> web.StreamResponse:
    """Answer whole, or stream with ``"stream": true`` (``POST /v1/messages``)."""
    body = await read_json_object(context)
    fields = read_as(body, MessagesFields)
    entry, model = select_requested_model(context, fields.model)
    max_tokens = read_max_tokens(context, fields, warms_cache=entry.kind == "anthropic")
    request = read_request(context, body, fields, model, max_tokens)
    started = await start(context, body, request, entry, wire=MESSAGES_WIRE.name, options={})
    return await (respond if fields.stream else respond_whole)(context, started, MESSAGES_WIRE)


async def count_tokens(context: RequestContext) -> web.StreamResponse:
    """Return the count of the prompt's tokens (``POST /v1/messages/count_tokens``). Nothing is generated.

    A provider with a counting API counts them. For any other the count is an estimate, by the length of the texts.
    """
    body = await read_json_object(context)
    fields = read_as(body, MessagesFields)
    entry, model = select_requested_model(context, fields.model)
    request = read_request(context, body, fields, model, max_tokens=1)
    try:
        with context.services.catalog.lease(), _bounded(context):
            count = await _count(context, entry, request)
    except ProviderError as error:
        failure = failed_with(error, request_id=context.request_id)
        return to_response(MESSAGES_WIRE.failure(failure))
    return to_response(HTTPAnswer(200, to_json({"input_tokens": count})))


@contextmanager
def _bounded(context: RequestContext) -> Iterator[None]:
    """Bound how many requests a caller has counted at a time, as many as it may have streams: each may hold a
    connection to the provider. A count takes no slot of a stream."""
    caller, counts = context.caller, context.services.token_counts
    most = caller.permissions.quota.max_streams
    if context.services.supervisor.draining:
        raise draining()
    if counts[caller.account] >= most:
        raise Refusal("rate_limited", f"You may count {most} requests at a time.", retry_after=1)
    counts[caller.account] += 1
    try:
        yield
    finally:
        counts[caller.account] -= 1
        if not counts[caller.account]:
            del counts[caller.account]


async def _count(context: RequestContext, entry: ProviderEntry, request: ChatRequest) -> int:
    if entry.counter is None:
        return estimate_prompt_tokens(request)
    with Deadline(context.services.clock) as deadline:
        deadline.set("first_token", context.settings.timeouts.first_token)
        return await entry.counter.count_tokens(request)


async def probe(context: RequestContext) -> web.StreamResponse:
    """Answer Claude Code, which takes a 405 for a server that is not there (``HEAD /api/hello``)."""
    return web.Response()
