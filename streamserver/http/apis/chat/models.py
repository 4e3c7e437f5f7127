"""The list of models, in one form that both vendors' SDKs read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from streamserver.core.model_selection import allowed_models, allowed_providers, select_by_model_name
from streamserver.http.context import RequestContext

_CREATED = int(time.time())
"""Both vendors' types require a time; that of this server's start is one."""
_CREATED_AT = datetime.fromtimestamp(_CREATED, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def list_models(context: RequestContext) -> web.StreamResponse:
    """Return every provider's name, then ``provider/model`` for each model that this key may use (``GET /v1/models``).

    ``has_more`` must be false, else anthropic-sdk-python asks for the next page for ever.
    """
    listed = [_model(name) for name in _names(context)]
    first, last = (listed[0]["id"], listed[-1]["id"]) if listed else (None, None)
    body = {"object": "list", "data": listed, "has_more": False, "first_id": first, "last_id": last}
    return _json(body)


async def get_model(context: RequestContext) -> web.StreamResponse:
    """Return one model, by any name that requests may use (``GET /v1/models/{id}``). The id may contain ``/``."""
    name = context.http.match_info["model"]
    select_by_model_name(name, context.streams.catalog, context.caller.permissions)
    return _json(_model(name))


def _names(context: RequestContext) -> Iterator[str]:
    permissions = context.caller.permissions
    for entry in allowed_providers(context.streams.catalog, permissions):
        models = allowed_models(entry, permissions)
        if models:
            yield entry.name
        yield from (f"{entry.name}/{model}" for model in models)


def _model(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": "streamserver",
        "type": "model",
        "display_name": name,
        "created_at": _CREATED_AT,
        "lifecycle": "active",
    }


def _json(body: dict[str, Any]) -> web.Response:
    return web.json_response(body, headers={"Cache-Control": "no-store"})
