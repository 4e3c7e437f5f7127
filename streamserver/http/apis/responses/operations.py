"""The OpenAPI operations of Responses."""

from __future__ import annotations

from streamserver.http.apis.chat.operations import vendor_errors
from streamserver.http.apis.responses.fields import ResponsesFields
from streamserver.http.openapi import Json, content, whole_or_streamed
from streamserver.http.routing import Components

SCHEMAS = (ResponsesFields,)
_RESPONSE_ID: Json = {"name": "response_id", "in": "path", "required": True, "schema": {"type": "string"}}


def create(components: Components) -> Json:
    body = content("application/json", {"$ref": "#/components/schemas/ResponsesFields"})
    return {"requestBody": {"required": True, **body}, "responses": _answers()}


def retrieve(components: Components) -> Json:
    parameters = [
        _RESPONSE_ID,
        {"name": "stream", "in": "query", "schema": {"type": "boolean"}},
        {"name": "starting_after", "in": "query", "schema": {"type": "integer", "minimum": 0}},
    ]
    return {"parameters": parameters, "responses": _answers()}


def cancel(components: Components) -> Json:
    return {"parameters": [_RESPONSE_ID], "responses": _answers()}


def _answers() -> Json:
    return {"200": whole_or_streamed("A Response, or its events."), **vendor_errors()}
