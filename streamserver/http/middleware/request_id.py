"""A request id for every request, in its answer and in every log message about it."""

from __future__ import annotations

import random
import re

from aiohttp import web
from aiohttp.typedefs import Handler

from streamserver.http.context import CONTEXT, make_context

_USABLE = re.compile(r"[A-Za-z0-9._-]{1,128}")


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the caller's ``X-Request-ID`` if it can do no harm in a log, else make one. It is no secret."""
    given = request.headers.get("X-Request-ID", "")
    context = make_context(request, given if _USABLE.fullmatch(given) else f"{random.getrandbits(96):024x}")
    try:
        return await handler(request)
    finally:
        context.release()


async def name_response(request: web.Request, response: web.StreamResponse) -> None:
    """Put the id on every answer, streams included: their headers leave before a middleware sees them.

    ``Server`` names no version: aiohttp's own name would tell attackers which weaknesses to look up.
    """
    response.headers["Server"] = "streamserver"
    context = request.get(CONTEXT)
    if context is not None:
        response.headers["X-Request-ID"] = context.request_id
        if context.api.response_headers is not None:
            response.headers.update(context.api.response_headers(context))
