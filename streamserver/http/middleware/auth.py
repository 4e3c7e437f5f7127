"""Authentication: which caller sends a request."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from streamserver.core.caller import Caller
from streamserver.core.refusals import Refusal
from streamserver.http.client_address import client_of
from streamserver.http.context import RequestContext, context_of
from streamserver.http.permissions import permissions_of
from streamserver.http.routing import Access

_NEEDS_KEY = "This needs an API key, as Authorization: Bearer or X-API-Key."
_WRONG_KEY = "This API key is none of this server's."


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make the request's :class:`~streamserver.core.caller.Caller`. Where API keys are configured, refuse requests
    without one, as their route's access rule demands."""
    context = context_of(request)
    keys = context.services.keys
    name = ""
    if keys:
        key = context.api.api_key(request)
        found = None if key is None else keys.name_of(key)
        if found is None and not _is_public(context):
            raise Refusal(
                "unauthorized",
                _NEEDS_KEY if key is None else _WRONG_KEY,
                headers={"WWW-Authenticate": "Bearer"},
            )
        name = found or ""
    settings = context.settings
    account = f"key:{name}" if name else client_of(request, settings.server.trusted_proxies)
    context.caller = Caller(context.request_id, name, account, permissions_of(name, settings))
    return await handler(request)


def _is_public(context: RequestContext) -> bool:
    if context.route is None:
        return not context.api.guarded
    match context.route.access:
        case Access.PUBLIC | Access.STREAM_ID:
            return True
        case Access.POSITION:
            return context.route.has_position is not None and context.route.has_position(context)
        case Access.KEY:
            return False
