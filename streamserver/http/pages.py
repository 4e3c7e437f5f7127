"""Everything that is no stream: the demo page, the providers, health."""

from __future__ import annotations

from aiohttp import web

from providers.catalog import ProviderEntry
from streamserver.assets import web_folder
from streamserver.core.model_selection import allowed_providers
from streamserver.http.apis.native.chat import read_query
from streamserver.http.core import core_of
from streamserver.http.quotas import user_of
from streamserver.telemetry.metrics import CONTENT_TYPE

_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


async def page(request: web.Request) -> web.StreamResponse:
    """Serve a file of the demo or of the JavaScript client; ``/`` is the demo's ``index.html``."""
    return _file(request.match_info.get("name", "index.html"))


def _file(name: str) -> web.StreamResponse:
    path = web_folder() / name
    if not path.is_file():
        path = web_folder() / "client" / name
    content_type = _TYPES.get(path.suffix)
    if content_type is None or not path.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(path, headers={**_SECURITY, "Content-Type": content_type})


async def providers(request: web.Request) -> web.Response:
    """``GET /api/providers``: who can be asked (by this key), and what is missing. Never a key."""
    read_query(request, frozenset())
    allowed = allowed_providers(core_of(request).catalog, user_of(request))
    listed = [_listed(each) for each in allowed]
    return web.json_response({"default": allowed[0].name, "providers": listed}, headers={"Cache-Control": "no-store"})


def _listed(configured: ProviderEntry) -> dict[str, object]:
    breaker = configured.breaker
    retry_in = breaker.retry_in
    return {
        "name": configured.name,
        "kind": configured.kind,
        "model": configured.model,
        "ready": configured.reason is None,
        "reason": configured.reason,
        "breaker": {
            "state": breaker.state,
            "failures": breaker.failures,
            "retry_in": None if retry_in is None else round(retry_in, 1),
        },
    }


async def alive(request: web.Request) -> web.Response:
    """``GET /healthz``: the process answers."""
    return web.json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def ready(request: web.Request) -> web.Response:
    """``GET /readyz``: new streams are welcome; 503 while draining."""
    draining = core_of(request).supervisor.draining
    return web.json_response(
        {"status": "draining" if draining else "ready"},
        status=503 if draining else 200,
        headers={"Cache-Control": "no-store", **({"Retry-After": "1"} if draining else {})},
    )


async def metrics(request: web.Request) -> web.Response:
    """``GET /metrics``: for Prometheus."""
    text = core_of(request).metrics.render()
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})
