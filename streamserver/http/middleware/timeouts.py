"""Each request's own deadlines."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from streamserver.http.core import core_of
from streamserver.http.deadline import RequestDeadline
from streamserver.http.middleware.errors import end_with
from streamserver.http.problems import Problem
from streamserver.http.state import DEADLINE, OPEN_STREAM


@web.middleware
async def enforce_deadlines(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request a deadline that its handler moves: for its body, then for its whole response.

    A body that does not come gets a 408. A response that should long have ended gets its final
    error event from here, even if the generation that feeds it is stuck.
    """
    try:
        async with asyncio.timeout(None) as timeout:
            deadline = request[DEADLINE] = RequestDeadline(timeout, core_of(request).clock)
            try:
                return await handler(request)
            finally:
                deadline.clear()
    except TimeoutError:
        if not timeout.expired():
            raise
    opened = request.get(OPEN_STREAM)
    if opened is None or not opened.response.prepared:
        raise Problem("request_timeout", "The request's body did not arrive in time.", headers={"Connection": "close"})
    return await end_with(opened, "timeout", "The answer was not complete in time (total).")
