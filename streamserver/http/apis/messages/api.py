"""The routes of Messages."""

from __future__ import annotations

from streamserver.http.apis.messages import handlers, operations
from streamserver.http.apis.wires import api_key_or_bearer
from streamserver.http.routing import Access, Api, Route
from streamserver.wire.messages import MESSAGES_WIRE

MESSAGES = Api(
    name=MESSAGES_WIRE.name,
    prefixes=("/v1/messages",),
    refusal=MESSAGES_WIRE.refusal,
    api_key=api_key_or_bearer,
    schemas=operations.SCHEMAS,
    response_headers=lambda context: {"request-id": context.request_id},
    routes=(
        Route(
            method="POST",
            path="/v1/messages",
            handler=handlers.create,
            access=Access.KEY,
            summary="Anthropic Messages: answer whole, or stream.",
            operation=operations.create,
        ),
        Route(
            method="POST",
            path="/v1/messages/count_tokens",
            handler=handlers.count_tokens,
            access=Access.KEY,
            summary="Count the tokens of a prompt.",
            operation=operations.count_tokens,
        ),
        Route(method="HEAD", path="/api/hello", handler=handlers.probe, access=Access.PUBLIC),
    ),
)
