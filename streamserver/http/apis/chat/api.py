"""The routes of chat completions and of the list of models."""

from __future__ import annotations

from streamserver.http.apis.chat import handlers, models, operations
from streamserver.http.apis.wires import processing_time
from streamserver.http.keys import bearer_or_api_key
from streamserver.http.routing import Access, Api, Route
from streamserver.wire.chat import CHAT_WIRE

CHAT = Api(
    name=CHAT_WIRE.name,
    prefixes=("/v1",),
    refusal=CHAT_WIRE.refusal,
    api_key=bearer_or_api_key,
    schemas=operations.SCHEMAS,
    response_headers=processing_time,
    routes=(
        Route(
            method="POST",
            path="/v1/chat/completions",
            handler=handlers.create,
            access=Access.KEY,
            summary="OpenAI chat completions: answer whole, or stream.",
            operation=operations.create,
        ),
    ),
)

MODELS = Api(
    name="models",
    prefixes=("/v1/models",),
    refusal=CHAT_WIRE.refusal,
    api_key=bearer_or_api_key,
    response_headers=lambda context: {**processing_time(context), "request-id": context.request_id},
    routes=(
        Route(
            method="GET",
            path="/v1/models",
            handler=models.list_models,
            access=Access.KEY,
            summary="List the models, for the SDKs of both vendors.",
            operation=operations.list_models,
        ),
        Route(
            method="GET",
            path="/v1/models/{model:.+}",
            handler=models.get_model,
            access=Access.KEY,
            summary="Describe one model.",
            operation=operations.get_model,
        ),
    ),
)
"""The list of models is for the SDKs of both vendors: each answer has the headers that either looks for."""
