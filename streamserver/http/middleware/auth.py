"""Who is asking."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from streamserver.http.apis.native.chat import QUERY_FIELDS, read_query
from streamserver.http.core import core_of
from streamserver.http.keys import presented_key
from streamserver.http.paths import is_private
from streamserver.http.position import position_of
from streamserver.http.problems import Problem
from streamserver.http.state import KEY_NAME, route_of

_STREAM = "/api/chat/streams/{stream_id}"
_ONE_SHOT = "/api/chat/stream"
_QUERY = QUERY_FIELDS | {"idempotency_key", "last_event_id"}


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Where there are keys, let nobody in without one, but to public pages and to a stream by its id.

    A stream's id is a secret of its own: ``EventSource`` sends no headers. That goes for an id in the path
    and for one in a position, which attaches and never generates.
    """
    request[KEY_NAME] = ""
    keys = core_of(request).keys
    if keys:
        key = presented_key(request)
        name = None if key is None else keys.name_of(key)
        if name is not None:
            request[KEY_NAME] = name
        elif is_private(request) and not _names_a_stream(request):
            raise Problem(
                "unauthorized",
                "This needs an API key, as Authorization: Bearer or X-API-Key.",
                headers={"WWW-Authenticate": "Bearer"},
            )
    return await handler(request)


def _names_a_stream(request: web.Request) -> bool:
    route = route_of(request)
    return route.endswith(_STREAM) or (route.endswith(_ONE_SHOT) and _has_position(request))


def _has_position(request: web.Request) -> bool:
    try:
        # Read as the handler will: what one takes for a position the other must not take for something else.
        return position_of(request, read_query(request, _QUERY).get("last_event_id")) is not None
    except Problem:
        return False
