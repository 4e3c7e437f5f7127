"""The OpenAPI operations of chat completions and of the list of models."""

from __future__ import annotations

from streamserver.http.apis.chat.fields import ChatCompletionFields
from streamserver.http.openapi import OBJECT, Json, content, whole_or_streamed
from streamserver.http.routing import Components

SCHEMAS = (ChatCompletionFields,)


def create(components: Components) -> Json:
    body = content("application/json", {"$ref": "#/components/schemas/ChatCompletionFields"})
    answer = whole_or_streamed("A chat completion, or its chunks.")
    return {"requestBody": {"required": True, **body}, "responses": {"200": answer, **vendor_errors()}}


def list_models(components: Components) -> Json:
    return {"responses": {"200": {"description": "OK", **content("application/json", OBJECT)}, **vendor_errors()}}


def get_model(components: Components) -> Json:
    parameter = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    return {"parameters": [parameter], **list_models(components)}


def vendor_errors() -> Json:
    """Return the responses of errors, with bodies in the vendor's own form."""
    return {"default": {"description": "An error in the vendor's form.", **content("application/json", OBJECT)}}
