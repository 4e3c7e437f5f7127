"""The OpenAPI operations of the native API, and the bounds of its schemas."""

from __future__ import annotations

from collections.abc import Iterable

from providers.base import Reasoning, ToolCall
from streamserver.config.settings import Settings
from streamserver.core.idempotency import KEY_PATTERN
from streamserver.http.apis.native.fields import QUERY_FIELDS, ChatFields
from streamserver.http.apis.native.position import POSITION
from streamserver.http.openapi import (
    BODY_CODES,
    OBJECT,
    OK,
    QUERY_CODES,
    START_CODES,
    Json,
    content,
    filled,
    having,
    parameter,
    refusal_responses,
)
from streamserver.http.routing import Components
from streamserver.wire.native import DoneData, ErrorData, StartData

_MAX_QUERY_CHARS = 5000
"""The longest text in a query: percent-encoded, two of them fit into the longest URL that is accepted."""
SCHEMAS = (ChatFields, StartData, DoneData, ErrorData, Reasoning, ToolCall)


def bind_schemas(components: dict[str, Json], settings: Settings, with_keys: bool) -> None:
    """Set what the settings bound, and what a request must have."""
    if not with_keys:
        components["ChatFields"]["properties"]["provider"]["anyOf"][0]["enum"] = list(settings.providers)
    fields = components["ChatFields"]["properties"]
    fields["max_tokens"]["anyOf"][0]["maximum"] = settings.limits.max_tokens
    fields["grace"]["anyOf"][0]["maximum"] = settings.resume.max_grace_seconds
    fields["prompt"]["anyOf"][0]["maxLength"] = settings.limits.max_prompt_chars
    fields["system"]["anyOf"][0]["maxLength"] = settings.limits.max_conversation_chars
    prompt, messages = filled("string"), {"type": "array", "contains": _HAS_CONTENT}
    components["ChatFields"]["oneOf"] = [
        {"required": ["prompt"], "properties": {"prompt": prompt, "messages": {"type": "null"}}},
        {"required": ["messages"], "properties": {"messages": messages, "prompt": {"type": "null"}}},
    ]
    message = components["Message"]
    message["properties"]["content"]["anyOf"][1]["items"] = _PART_SCHEMA
    message["properties"]["tool_calls"]["anyOf"][0]["items"] = _CALL
    for name in ("reasoning", "extra"):  # read from vendors' own fields, which any message may have
        del message["properties"][name]
    message["additionalProperties"] = True
    del components["ReasoningBlock"], components["Opaque"]


def _with_fields(kind: str, **fields: Json) -> Json:
    """Return the rule that an object of the type ``kind`` has ``fields``."""
    is_kind: Json = {"properties": {"type": {"const": kind}}}
    return {"if": is_kind, "then": {"required": list(fields), "properties": fields}}


def _strings(*names: str) -> Json:
    return {"type": "object", "required": list(names), "properties": {name: {"type": "string"} for name in names}}


_PART_SCHEMA: Json = {
    "type": "object",
    "properties": {"type": {"type": "string"}},
    "required": ["type"],
    "allOf": [
        _with_fields("text", text={"type": "string"}),
        _with_fields("refusal", refusal={"type": "string"}),
        _with_fields("image_url", image_url=_strings("url")),
        _with_fields("input_audio", input_audio=_strings("data", "format")),
    ],
}
"""A part of a message's content."""
_CALL: Json = {
    "type": "object",
    "properties": {"id": {"type": ["string", "null"]}},
    "if": {"properties": {"type": {"enum": [None, "function"]}}},
    "then": {
        "required": ["function"],
        "properties": {
            "function": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "arguments": {"type": ["string", "object", "null"]}},
            }
        },
    },
}
"""A tool call of an earlier turn."""
_HAS_CONTENT: Json = {
    "anyOf": [
        having("content", filled("string")),
        having(
            "content",
            {
                "type": "array",
                "contains": {
                    "anyOf": [{"properties": {"type": {"not": {"const": "text"}}}}, having("text", filled("string"))]
                },
            },
        ),
        having("tool_calls", filled("array")),
        having("refusal", filled("string")),
    ]
}
"""A message with content; at least one must have some."""


def get_stream(components: Components) -> Json:
    parameters = [*_query(components), _IDEMPOTENCY["query"], *_starting(components), *_ATTACHING]
    return {"parameters": parameters, "responses": {**_STREAM_RESPONSES, **refusal_responses(*START_CODES)}}


def post_stream(components: Components) -> Json:
    return {
        "parameters": [*_starting(components), *_ATTACHING],
        **_BODY,
        "responses": {**_STREAM_RESPONSES, **_BODY_REFUSED},
    }


def create_stream(components: Components) -> Json:
    made = {"headers": {"Location": {"schema": {"type": "string"}}}, **content("application/json", OBJECT)}
    answers = {"201": {"description": "Started.", **made}, "200": {"description": "Started before.", **made}}
    return {"parameters": _starting(components), **_BODY, "responses": {**answers, **_BODY_REFUSED}}


def attach_stream(components: Components) -> Json:
    refusals = refusal_responses(*QUERY_CODES, *BODY_CODES, "not_found", "rate_limited")
    return {"parameters": [_STREAM_ID_PARAMETER, *_ATTACHING], "responses": {**_STREAM_RESPONSES, **refusals}}


def delete_stream(components: Components) -> Json:
    refusals = refusal_responses(*QUERY_CODES, "not_found", "store_unavailable")
    return {"parameters": [_STREAM_ID_PARAMETER], "responses": {"204": {"description": "It has ended."}, **refusals}}


def providers(components: Components) -> Json:
    return {"responses": {**OK, **refusal_responses(*QUERY_CODES)}}


def _starting(components: Components) -> list[Json]:
    grace = components["ChatFields"]["properties"]["grace"]["anyOf"][0]
    return [_IDEMPOTENCY["header"], {"name": "X-Stream-Grace", "in": "header", "schema": grace}]


def _query(components: Components) -> Iterable[Json]:
    """Yield the fields of a body that a query may have, as parameters."""
    for name, schema in components["ChatFields"]["properties"].items():
        if name in QUERY_FIELDS:
            value = dict(schema["anyOf"][0])
            if name == "prompt":
                value["minLength"] = 1
            if "maxLength" in value:
                value["maxLength"] = min(value["maxLength"], _MAX_QUERY_CHARS)
            yield {"name": name, "in": "query", "required": name == "prompt", "schema": value}


_STREAM_ID_PARAMETER: Json = {"name": "stream_id", "in": "path", "required": True, "schema": {"type": "string"}}
_BODY: Json = {
    "requestBody": {"required": True, **content("application/json", {"$ref": "#/components/schemas/ChatFields"})}
}
_BODY_REFUSED = refusal_responses(*START_CODES, "unsupported_media_type")
_ATTACHING = [
    parameter("last_event_id", "query", f"({POSITION})?", "The last event's id: attach, generate nothing."),
    parameter("Last-Event-ID", "header", f"({POSITION})?", "As last_event_id, and before it."),
]
_IDEMPOTENCY = {
    "query": parameter("idempotency_key", "query", KEY_PATTERN, "As the header Idempotency-Key."),
    "header": parameter(
        "Idempotency-Key", "header", KEY_PATTERN, "The same again is the stream that the first one started."
    ),
}

_EVENT_SCHEMA: Json = {
    "type": "object",
    "description": "One event.",
    "properties": {
        "event": {"enum": ["start", "message", "reasoning", "tool_call", "done", "error", "ping"]},
        "data": {"type": "string"},
        "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+:([0-9]+|end)$"},
        "retry": {"type": "integer"},
    },
    "required": ["data"],
}
_STREAM_RESPONSES = {
    "200": {
        "description": "The stream.",
        **content("text/event-stream", _EVENT_SCHEMA),
    },
    "204": {"description": "The position is the end."},
}
