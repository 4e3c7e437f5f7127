"""The context of one request: what the middleware found out, and what handlers work with."""

from __future__ import annotations

import msgspec
from aiohttp import web

from streamserver.config.settings import Settings
from streamserver.core.caller import Caller
from streamserver.core.streams import Streams
from streamserver.http.deadline import RequestDeadline
from streamserver.http.responses.sse_response import SSEResponse
from streamserver.http.routing import Api, Route
from streamserver.http.services import SERVICES, Services
from streamserver.wire.base import Encoder


class OpenResponse(msgspec.Struct, frozen=True):
    """A stream's response that has begun: a failure from now on is told by its last event.

    ``request_id`` is that of the request which started the stream.
    """

    response: SSEResponse
    encoder: Encoder
    request_id: str


class RequestContext:
    """One request on its way through the edge. Each middleware sets what it is responsible for."""

    __slots__ = ("api", "began", "caller", "deadline", "http", "open_response", "request_id", "route", "services")

    caller: Caller
    """Set by the authentication middleware."""
    deadline: RequestDeadline
    """The request's own deadline: for reading its body, then for its whole response."""

    def __init__(self, http: web.Request, services: Services, request_id: str) -> None:
        self.http = http
        self.services = services
        self.request_id = request_id
        self.began = services.clock.time()
        self.api: Api
        self.route: Route | None
        self.api, self.route = services.router.match(http)
        self.open_response: OpenResponse | None = None

    def release(self) -> None:
        """Drop the request when its handler has ended. It refers to this context: only the garbage collector would free
        the two, and all that they hold."""
        del self.http

    @property
    def settings(self) -> Settings:
        return self.services.settings

    @property
    def streams(self) -> Streams:
        return self.services.streams

    @property
    def route_path(self) -> str:
        """The route's template, such as ``/api/chat/streams/{stream_id}``: the path itself may hold a secret."""
        return "(no route)" if self.route is None else self.route.path


CONTEXT = web.RequestKey("context", RequestContext)


def make_context(request: web.Request, request_id: str) -> RequestContext:
    """Return the context of a new request, and attach it to the request."""
    context = request[CONTEXT] = RequestContext(request, request.app[SERVICES], request_id)
    return context


def context_of(request: web.Request) -> RequestContext:
    return request[CONTEXT]
