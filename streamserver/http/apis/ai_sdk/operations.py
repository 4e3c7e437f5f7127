"""The OpenAPI operations of the AI SDK's hook."""

from __future__ import annotations

from streamserver.http.openapi import Json, content, filled
from streamserver.http.routing import Components

_CHAT_ID: Json = {"name": "chat_id", "in": "path", "required": True, "schema": {"type": "string"}}
_UI_STREAM_RESPONSES: Json = {
    "200": {"description": "UI message chunks.", **content("text/event-stream", {"type": "string"})}
}
_ERRORS: Json = {
    "default": {
        "description": "A sentence for the person at the page. `X-Error-Code` has the code.",
        **content("text/plain", {"type": "string"}),
    }
}


def send(components: Components) -> Json:
    schema = {
        "type": "object",
        "required": ["id", "messages"],
        "properties": {"id": filled("string"), "messages": filled("array")},
    }
    body = {"requestBody": {"required": True, **content("application/json", schema)}}
    return {**body, "responses": {**_UI_STREAM_RESPONSES, **_ERRORS}}


def resume(components: Components) -> Json:
    nothing = {"204": {"description": "There is nothing to resume."}}
    return {"parameters": [_CHAT_ID], "responses": {**_UI_STREAM_RESPONSES, **nothing, **_ERRORS}}


def stop(components: Components) -> Json:
    stopped = {"204": {"description": "The chat has no running answer any more."}}
    return {"parameters": [_CHAT_ID], "responses": {**stopped, **_ERRORS}}
