"""The native API: its routes."""

from __future__ import annotations

from streamserver.http.apis.native import handlers, operations
from streamserver.http.apis.native.providers import list_providers
from streamserver.http.keys import bearer_or_api_key
from streamserver.http.routing import Access, Api, Route
from streamserver.wire.problem import render

NATIVE = Api(
    name="native",
    prefixes=("/api",),
    refusal=render,
    api_key=bearer_or_api_key,
    schemas=operations.SCHEMAS,
    bind_schemas=operations.bind_schemas,
    routes=(
        Route(
            method="GET",
            path="/api/chat/stream",
            handler=handlers.get_stream,
            access=Access.POSITION,
            has_position=handlers.has_position,
            summary="Start a generation from the query and stream it.",
            operation=operations.get_stream,
        ),
        Route(
            method="POST",
            path="/api/chat/stream",
            handler=handlers.post_stream,
            access=Access.POSITION,
            has_position=handlers.has_position,
            summary="Start a generation from the body and stream it.",
            operation=operations.post_stream,
        ),
        Route(
            method="POST",
            path="/api/chat/streams",
            handler=handlers.create_stream,
            access=Access.KEY,
            summary="Start a generation, to be read at the address that is returned.",
            operation=operations.create_stream,
        ),
        Route(
            method="GET",
            path="/api/chat/streams/{stream_id}",
            handler=handlers.attach_stream,
            access=Access.STREAM_ID,
            summary="Read a stream, from its start or from a position.",
            operation=operations.attach_stream,
        ),
        Route(
            method="DELETE",
            path="/api/chat/streams/{stream_id}",
            handler=handlers.delete_stream,
            access=Access.STREAM_ID,
            summary="Stop a generation.",
            operation=operations.delete_stream,
        ),
        Route(
            method="GET",
            path="/api/providers",
            handler=list_providers,
            access=Access.KEY,
            summary="List the providers that this key may use, and what is missing. Never a key.",
            operation=operations.providers,
            head=True,
        ),
    ),
)
