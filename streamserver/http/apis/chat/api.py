"""The routes of chat completions and of the list of models."""

from __future__ import annotations

from streamserver.http.apis.chat import handlers, models, operations
from streamserver.http.apis.wires import processing_time
from streamserver.http.context import RequestContext
from streamserver.http.keys import bearer_or_api_key
from streamserver.http.routing import Access, Api, Route
from streamserver.wire.chat import CHAT_WIRE

_MODELS = "/v1/models"


def _response_headers(context: RequestContext) -> dict[str, str]:
    """Return what both vendors' SDKs look for: the list of models is for either."""
    is_shared = context.route is not None and context.route.path.startswith(_MODELS)
    return {**processing_time(context), **({"request-id": context.request_id} if is_shared else {})}


CHAT = Api(
    name=CHAT_WIRE.name,
    prefixes=("/v1",),
    refusal=CHAT_WIRE.refusal,
    api_key=bearer_or_api_key,
    schemas=operations.SCHEMAS,
    response_headers=_response_headers,
    routes=(
        Route(
            method="POST",
            path="/v1/chat/completions",
            handler=handlers.create,
            access=Access.KEY,
            summary="OpenAI chat completions: answer whole, or stream.",
            operation=operations.create,
        ),
        Route(
            method="GET",
            path=_MODELS,
            handler=models.list_models,
            access=Access.KEY,
            summary="List the models, for the SDKs of both vendors.",
            operation=operations.list_models,
        ),
        Route(
            method="GET",
            path=f"{_MODELS}/{{model:.+}}",
            handler=models.get_model,
            access=Access.KEY,
            summary="Describe one model.",
            operation=operations.get_model,
        ),
    ),
)
