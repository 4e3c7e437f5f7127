"""What a request carries from one middleware or handler to the next."""

from __future__ import annotations

import msgspec
from aiohttp import web

from streamserver.http.deadline import RequestDeadline
from streamserver.http.responses.sse_response import StreamResponse
from streamserver.wire.base import Encoder


class OpenStream(msgspec.Struct, frozen=True):
    """A response that has begun: what a failure from now on has to end."""

    stream_id: str
    request_id: str
    response: StreamResponse
    encoder: Encoder


REQUEST_ID = web.RequestKey("request_id", str)
KEY_NAME = web.RequestKey("key_name", str)
"""The name of the key; empty for the anonymous."""
DEADLINE = web.RequestKey("deadline", RequestDeadline)
"""The request's own deadline: reading its body, then the hard end of its response."""
OPEN_STREAM = web.RequestKey("open_stream", OpenStream)


def route_of(request: web.Request) -> str:
    """The template of the request's route, such as ``/api/chat/streams/{stream_id}``: the path may hold a secret."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "(no route)"
