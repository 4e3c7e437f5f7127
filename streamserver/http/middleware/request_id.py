"""A name for every request, in its answer and in everything that is logged of it."""

from __future__ import annotations

import random
import re

from aiohttp import web
from aiohttp.typedefs import Handler

from streamserver.http.state import REQUEST_ID

_USABLE = re.compile(r"[A-Za-z0-9._-]{1,128}")


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the caller's ``X-Request-ID`` if it can do no harm in a log, else make one. It is no secret."""
    given = request.headers.get("X-Request-ID", "")
    request[REQUEST_ID] = given if _USABLE.fullmatch(given) else f"{random.getrandbits(96):024x}"
    return await handler(request)


async def name_response(request: web.Request, response: web.StreamResponse) -> None:
    """Put the id on every answer, streams included: their headers leave before a middleware sees them.

    And our own name in place of aiohttp's, which tells everybody what to look up weaknesses of.
    """
    response.headers["Server"] = "streamserver"
    request_id = request.get(REQUEST_ID)
    if request_id is not None:
        response.headers["X-Request-ID"] = request_id
