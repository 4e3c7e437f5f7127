"""Every address the server answers at."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from streamserver.http import pages
from streamserver.http.apis.native import handlers as streams
from streamserver.http.openapi import openapi

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/api/chat/stream", streams.get_stream),
    ("POST", "/api/chat/stream", streams.post_stream),
    ("POST", "/api/chat/streams", streams.create_stream),
    ("GET", "/api/chat/streams/{stream_id}", streams.attach_stream),
    ("DELETE", "/api/chat/streams/{stream_id}", streams.delete_stream),
    ("GET", "/api/providers", pages.providers),
    ("GET", "/openapi.json", openapi),
    ("GET", "/metrics", pages.metrics),
    ("GET", "/healthz", pages.alive),
    ("GET", "/readyz", pages.ready),
    ("GET", "/", pages.page),
    ("GET", r"/{name:[a-z][a-z-]*\.(?:js|css|svg)}", pages.page),
)
"""Method, path and handler. HEAD is answered only where nothing can be started by it."""


def add_routes(app: web.Application) -> None:
    """Add every route of the table to ``app``."""
    for method, path, handler in ROUTES:
        if method == "GET" and not path.startswith("/api/chat/"):
            app.router.add_get(path, handler, expect_handler=_expect)
        else:
            app.router.add_route(method, path, handler, expect_handler=_expect)


async def _expect(request: web.Request) -> None:
    """Ask for the body that waits to be asked for. Other expectations are ignored, as RFC 9110, 10.1.1 allows;
    aiohttp's own answer would quote them, before anything has looked who is asking."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # It is no part of the answer: aiohttp must not take it for one that has begun.
        request.writer.output_size = 0
