"""The OpenAPI operations of Messages."""

from __future__ import annotations

from streamserver.http.apis.chat.operations import vendor_errors
from streamserver.http.apis.messages.fields import MessagesFields
from streamserver.http.openapi import OBJECT, Json, content, whole_or_streamed
from streamserver.http.routing import Components

SCHEMAS = (MessagesFields,)


def create(components: Components) -> Json:
    answer = whole_or_streamed("A message, or its events.")
    return {"requestBody": _body(), "responses": {"200": answer, **vendor_errors()}}


def count_tokens(components: Components) -> Json:
    answer = {"description": "The count.", **content("application/json", OBJECT)}
    return {"requestBody": _body(), "responses": {"200": answer, **vendor_errors()}}


def _body() -> Json:
    return {"required": True, **content("application/json", {"$ref": "#/components/schemas/MessagesFields"})}
