"""The OpenAPI operations of the AI SDK's hook."""

from __future__ import annotations

from streamserver.http.apis.chat.operations import vendor_errors
from streamserver.http.openapi import Json, content, filled
from streamserver.http.routing import Components

_CHAT_ID: Json = {"name": "chat_id", "in": "path", "required": True, "schema": {"type": "string"}}
_STREAM: Json = {"200": {"description": "UI message chunks.", **content("text/event-stream", {"type": "string"})}}


def send(components: Components) -> Json:
    schema = {
        "type": "object",
        "required": ["id", "messages"],
        "properties": {"id": filled("string"), "messages": filled("array")},
    }
    body = {"requestBody": {"required": True, **content("application/json", schema)}}
    return {**body, "responses": {**_STREAM, **vendor_errors()}}


def resume(components: Components) -> Json:
    nothing = {"204": {"description": "There is nothing to resume."}}
    return {"parameters": [_CHAT_ID], "responses": {**_STREAM, **nothing, **vendor_errors()}}


def stop(components: Components) -> Json:
    stopped = {"204": {"description": "Nothing runs any more."}}
    return {"parameters": [_CHAT_ID], "responses": {**stopped, **vendor_errors()}}
