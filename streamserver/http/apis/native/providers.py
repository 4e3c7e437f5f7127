"""The list of providers."""

from __future__ import annotations

from aiohttp import web

from providers.catalog import ProviderEntry
from streamserver.core.caller import Permissions
from streamserver.core.model_selection import allowed_models, allowed_providers
from streamserver.http.context import RequestContext
from streamserver.http.query import read_query


async def list_providers(context: RequestContext) -> web.Response:
    """Return the providers that this key may use, and what is missing (``GET /api/providers``). Never a key."""
    read_query(context.http, frozenset())
    permissions = context.caller.permissions
    allowed = allowed_providers(context.streams.catalog, permissions)
    listed = [_describe(entry, permissions) for entry in allowed]
    return web.json_response({"default": allowed[0].name, "providers": listed}, headers={"Cache-Control": "no-store"})


def _describe(entry: ProviderEntry, permissions: Permissions) -> dict[str, object]:
    breaker = entry.breaker
    retry_in = breaker.retry_in
    return {
        "name": entry.name,
        "kind": entry.kind,
        "model": entry.model,
        "models": allowed_models(entry, permissions),
        "ready": entry.reason is None,
        "reason": entry.reason,
        "breaker": {
            "state": breaker.state,
            "failures": breaker.failures,
            "retry_in": None if retry_in is None else round(retry_in, 1),
        },
    }
