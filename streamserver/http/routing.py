"""The route table: every address of the server, with its API, its access rule and its OpenAPI operation.

Authentication, CORS, OpenAPI, metrics labels and routing errors are derived from it, relative to the path that the
application is mounted at.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from aiohttp import web

from streamserver.config.settings import Settings
from streamserver.core.refusals import Refusal
from streamserver.wire.base import HTTPAnswer

if TYPE_CHECKING:
    from streamserver.http.context import RequestContext

ContextHandler: TypeAlias = Callable[["RequestContext"], Awaitable[web.StreamResponse]]
Components: TypeAlias = Mapping[str, dict[str, Any]]
Operation: TypeAlias = Callable[[Components], dict[str, Any]]
"""Returns an OpenAPI operation, given the components' schemas."""


class Access(enum.Enum):
    """The credentials that a request must have where API keys are configured."""

    PUBLIC = enum.auto()
    KEY = enum.auto()
    STREAM_ID = enum.auto()
    """A key, or the id of a stream in the path: the id is a secret of its own, and ``EventSource`` sends no headers."""
    POSITION = enum.auto()
    """A key, or the position in a stream, which attaches and never generates."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table.

    ``head``: the address also answers HEAD; only where no request can start anything. ``cors``: pages of the
    configured origins may read the answer although the API is not guarded. ``summary`` is OpenAPI's.
    """

    method: str
    path: str
    handler: ContextHandler
    access: Access
    summary: str = ""
    operation: Operation | None = None
    head: bool = False
    cors: bool = False
    has_position: Callable[[RequestContext], bool] | None = None
    """Whether a request holds a position; for :attr:`Access.POSITION`."""


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """One protocol at the edge.

    ``prefixes`` are the paths under which errors without a handler (404, 405, 413, a bad key) have the form of this
    API; the longest prefix wins. ``guarded``: its requests may spend money, so that other sites' pages are refused and
    addresses that do not exist ask for a key, too. ``refusal`` renders a refusal; ``api_key`` reads the caller's key.
    """

    name: str
    prefixes: tuple[str, ...]
    routes: tuple[Route, ...]
    refusal: Callable[[Refusal, str], HTTPAnswer]
    api_key: Callable[[web.Request], str | None]
    guarded: bool = True
    response_headers: Callable[[RequestContext], Mapping[str, str]] | None = None
    """Returns further headers of every answer, streams included, when they are about to be sent."""
    schemas: tuple[type, ...] = ()
    """The models of its OpenAPI description."""
    bind_schemas: Callable[[dict[str, Any], Settings, bool], None] | None = None
    """Sets the bounds in its schemas, under the settings; the last argument: API keys are configured."""


class Router:
    """The route table of one application."""

    def __init__(self, apis: Sequence[Api]) -> None:
        """``apis``: the last one answers for every path without another's prefix."""
        self.apis = tuple(apis)
        self._matches: dict[web.AbstractRoute, tuple[Api, Route]] = {}
        self._root: web.AbstractResource | None = None
        prefixes = [(prefix, api) for api in apis for prefix in api.prefixes]
        self._prefixes = sorted(prefixes, key=lambda pair: len(pair[0]), reverse=True)

    def __iter__(self) -> Iterator[tuple[Api, Route]]:
        return ((api, route) for api in self.apis for route in api.routes)

    def add_to(self, app: web.Application, context_of: Callable[[web.Request], RequestContext]) -> None:
        """Add every route to ``app``."""
        for api, route in self:
            handler = _bind(route.handler, context_of)
            for method in (route.method, "HEAD") if route.head else (route.method,):
                added = app.router.add_route(method, route.path, handler, expect_handler=_expect)
                self._matches[added] = (api, route)
            if route.path == "/":
                self._root = added.resource

    def match(self, request: web.Request) -> tuple[Api, Route | None]:
        """Return the route of ``request`` and its API; None and the API of its path if there is no such route."""
        found = self._matches.get(request.match_info.route)
        return found or (self.api_at(self.relative_path(request)), None)

    def api_at(self, path: str) -> Api:
        """Return the API with the longest prefix of ``path``."""
        for prefix, api in self._prefixes:
            if path == prefix or path.startswith(f"{prefix}/"):
                return api
        return self.apis[-1]

    def relative_path(self, request: web.Request) -> str:
        """Return the path of ``request`` below the path that the application is mounted at."""
        mounted_at = "" if self._root is None else self._root.canonical.removesuffix("/")
        return request.path.removeprefix(mounted_at)


def _bind(
    handler: ContextHandler, context_of: Callable[[web.Request], RequestContext]
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(context_of(request))

    return handle


async def _expect(request: web.Request) -> None:
    """Send ``100 Continue`` to a client that waits for it before it sends the body.

    Other expectations are ignored, as RFC 9110, 10.1.1 allows: aiohttp's own answer would quote them, before the
    request was authenticated.
    """
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # It is no part of the answer: aiohttp takes a writer with output for a response that has begun, and cuts the
        # connection: https://github.com/aio-libs/aiohttp/blob/v3.14.1/aiohttp/web_protocol.py (handle_error)
        request.writer.output_size = 0
