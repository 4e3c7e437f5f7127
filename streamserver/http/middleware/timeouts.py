"""Each request's own deadlines."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from streamserver.core.refusals import Refusal
from streamserver.http.context import context_of
from streamserver.http.deadline import RequestDeadline
from streamserver.http.responses.ending import end_with


@web.middleware
async def enforce_deadlines(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request a deadline that its handler moves: for its body, then for its whole response.

    A body that does not arrive gets a 408. A response that should have ended long ago gets its final error event from
    here, even if the generation that feeds it is stuck.
    """
    context = context_of(request)
    try:
        async with asyncio.timeout(None) as timeout:
            with RequestDeadline(timeout, context.services.clock) as context.deadline:
                return await handler(request)
    except TimeoutError:
        if not timeout.expired():
            raise
    opened = context.open_response
    if opened is None or not opened.response.prepared:
        raise Refusal("request_timeout", "The request's body did not arrive in time.", headers={"Connection": "close"})
    return await end_with(opened, "timeout", "The answer was not complete in time (total).")
