"""The pages of the demo, health, metrics and the API's description."""

from __future__ import annotations

import msgspec
from aiohttp import web

from streamserver.assets import web_folder
from streamserver.http.context import RequestContext
from streamserver.http.openapi import describe
from streamserver.telemetry.metrics import CONTENT_TYPE

_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

FOLDERS = tuple(sorted(path.name for path in web_folder().iterdir() if path.is_dir() and path.name != "client"))
"""The folders of the demo that are served under their own names; the JavaScript client is served at the top."""

_FILES = {
    f"{prefix}{path.name}": path
    for prefix, folder in (("", ""), ("", "client"), *((f"{name}/", name) for name in FOLDERS))
    for path in (web_folder() / folder).iterdir()
    if path.suffix in _CONTENT_TYPES
}
"""The files of the demo and of the JavaScript client, listed once: a look at the disk would block the event loop."""


async def page(context: RequestContext) -> web.StreamResponse:
    """Serve a file of the demo or of the JavaScript client; ``/`` is the demo's ``index.html``."""
    return _file(context.http.match_info.get("name", "index.html"))


async def api_reference(context: RequestContext) -> web.StreamResponse:
    """Serve the page that shows ``/openapi.json``."""
    return _file("docs.html")


def _file(name: str) -> web.StreamResponse:
    path = _FILES.get(name)
    if path is None:
        raise web.HTTPNotFound
    return web.FileResponse(path, headers={**_SECURITY, "Content-Type": _CONTENT_TYPES[path.suffix]})


async def alive(context: RequestContext) -> web.Response:
    """Return 200 while the process answers (``GET /healthz``)."""
    return web.json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def ready(context: RequestContext) -> web.Response:
    """Return 200 if new streams are welcome; 503 while draining, and while the store rejects one (``GET /readyz``)."""
    services = context.services
    reason = services.store.ready()
    status = "draining" if services.supervisor.draining else "ready" if reason is None else "unavailable"
    return web.json_response(
        {"status": status, **({"reason": reason} if status == "unavailable" else {})},
        status=200 if status == "ready" else 503,
        headers={"Cache-Control": "no-store", **({} if status == "ready" else {"Retry-After": "1"})},
    )


async def metrics(context: RequestContext) -> web.Response:
    """Return the metrics for Prometheus (``GET /metrics``)."""
    text = context.services.metrics.render()
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


async def openapi(context: RequestContext) -> web.Response:
    """Return the API's description (``GET /openapi.json``)."""
    services = context.services
    body = msgspec.json.encode(describe(context.settings, services.router, with_keys=bool(services.keys)))
    return web.Response(body=body, headers={"Content-Type": "application/json", "Cache-Control": "no-cache"})
