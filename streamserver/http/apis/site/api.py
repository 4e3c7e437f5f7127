"""The routes of the server's own pages. Refusals have the native form."""

from __future__ import annotations

from streamserver.http.apis.site import operations, pages
from streamserver.http.keys import bearer_or_api_key
from streamserver.http.routing import Access, Api, Route
from streamserver.wire.problem import render

SITE = Api(
    name="site",
    prefixes=(),
    refusal=render,
    api_key=bearer_or_api_key,
    guarded=False,
    routes=(
        Route(method="GET", path="/openapi.json", handler=pages.openapi, access=Access.PUBLIC, head=True),
        Route(
            method="GET",
            path="/metrics",
            handler=pages.metrics,
            access=Access.KEY,
            summary="Metrics for Prometheus.",
            operation=operations.metrics,
            head=True,
        ),
        Route(
            method="GET",
            path="/healthz",
            handler=pages.alive,
            access=Access.PUBLIC,
            summary="The process answers.",
            operation=operations.alive,
            head=True,
        ),
        Route(
            method="GET",
            path="/readyz",
            handler=pages.ready,
            access=Access.PUBLIC,
            summary="New streams are welcome; 503 while draining, and while the store cannot take one.",
            operation=operations.ready,
            head=True,
        ),
        Route(method="GET", path="/docs", handler=pages.api_reference, access=Access.PUBLIC, head=True),
        Route(method="GET", path="/", handler=pages.page, access=Access.PUBLIC, head=True),
        Route(
            method="GET",
            path=r"/{name:client(?:-react)?\.js}",
            handler=pages.page,
            access=Access.PUBLIC,
            head=True,
            cors=True,
        ),
        Route(
            method="GET",
            path=rf"/{{name:(?:(?:{'|'.join(pages.FOLDERS)})/)?[a-z][a-z-]*\.(?:js|css|svg)}}",
            handler=pages.page,
            access=Access.PUBLIC,
            head=True,
        ),
    ),
)
