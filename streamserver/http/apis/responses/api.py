"""The routes of Responses."""

from __future__ import annotations

from streamserver.http.apis.responses import handlers, operations
from streamserver.http.apis.wires import processing_time
from streamserver.http.keys import bearer_or_api_key
from streamserver.http.routing import Access, Api, Route
from streamserver.wire.responses import RESPONSES_WIRE

_NOT_SERVED = ("/v1/responses/input_tokens", "/v1/responses/compact")
"""Addresses of OpenAI's that would else be taken for a Response's."""

RESPONSES = Api(
    name=RESPONSES_WIRE.name,
    prefixes=("/v1/responses",),
    refusal=RESPONSES_WIRE.refusal,
    api_key=bearer_or_api_key,
    schemas=operations.SCHEMAS,
    response_headers=processing_time,
    routes=(
        Route(
            method="POST",
            path="/v1/responses",
            handler=handlers.create,
            access=Access.KEY,
            summary="OpenAI Responses: answer whole, stream, or in the background.",
            operation=operations.create,
        ),
        Route(
            method="GET",
            path="/v1/responses/{response_id}",
            handler=handlers.retrieve,
            access=Access.KEY,
            summary="Return a Response as it is now, or its events.",
            operation=operations.retrieve,
        ),
        Route(
            method="POST",
            path="/v1/responses/{response_id}/cancel",
            handler=handlers.cancel,
            access=Access.KEY,
            summary="Stop a Response that is being generated.",
            operation=operations.cancel,
        ),
        Route(
            method="DELETE",
            path="/v1/responses/{response_id}",
            handler=handlers.delete,
            access=Access.KEY,
            summary="Stop and forget a Response.",
            operation=operations.cancel,
        ),
        *(Route(method="POST", path=path, handler=handlers.not_served, access=Access.KEY) for path in _NOT_SERVED),
    ),
)
