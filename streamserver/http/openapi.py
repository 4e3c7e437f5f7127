"""``/openapi.json``: the API described in OpenAPI 3.1, from the table of routes and the models that validate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import msgspec
from aiohttp import web

from providers.base import Reasoning, ToolCall
from streamserver.config.settings import Settings
from streamserver.http.chat import QUERY_FIELDS, ChatFields
from streamserver.http.core import core_of
from streamserver.http.problems import STATUS, ProblemBody
from streamserver.log.records import Done, Failed, Start

_Json = dict[str, Any]
_MODELS = (ChatFields, ProblemBody, Start, Done, Failed, Reasoning, ToolCall)
_POSITION = r"^([A-Za-z0-9_-]{1,128}:([0-9]{1,15}|end))?$"
_KEY = r"^[\x21-\x7e]{8,128}$"
_STREAM_ID = {"name": "stream_id", "in": "path", "required": True, "schema": {"type": "string"}}
_FOR_STARTS = ("malformed", "unauthorized", "forbidden", "invalid_request", "rate_limited", "overloaded")
_FOR_BODIES = ("request_timeout", "body_too_large", "unsupported_media_type")
_OBJECT: _Json = {"type": "object"}


def describe(settings: Settings, routes: Iterable[tuple[str, str, Any]], *, with_keys: bool) -> _Json:
    """The description of ``routes`` (method, path, handler) under ``settings``. Pages of the demo are left out,
    and ``with_keys`` the providers' names: anyone may read this, and only who has a key may know them."""
    _, components = msgspec.json.schema_components(_MODELS, ref_template="#/components/schemas/{name}")
    _bound(components, settings)
    if not with_keys:
        components["ChatFields"]["properties"]["provider"]["anyOf"][0]["enum"] = list(settings.providers)
    paths: dict[str, _Json] = {}
    for method, path, handler in routes:
        if path in ("/", "/openapi.json") or path.startswith("/{name"):
            continue
        operation = _operation(method, path, components)
        operation["summary"] = (handler.__doc__ or "").partition(": ")[2].partition("\n")[0].replace("``", "`")
        if with_keys and path not in ("/healthz", "/readyz") and "{stream_id}" not in path:
            operation["security"] = [{"bearer": []}, {"header": []}]
            operation["responses"].update(_refused("unauthorized"))
        paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "streamserver", "version": version("streamserver"), "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


_DESCRIPTION = (
    "Streams tokens from language models as Server-Sent Events. The events' `data` is text (`message`), or JSON: "
    "`start` is Start, `reasoning` Reasoning, `tool_call` ToolCall, `done` Done, `error` Failed. "
    "A request with a position (`Last-Event-ID: {stream_id}:{n}`, or `last_event_id` in the query) attaches where it "
    "was sent and starts nothing."
)


async def openapi(request: web.Request) -> web.Response:
    """``GET /openapi.json``: this description."""
    from streamserver.http.routes import ROUTES

    core = core_of(request)
    body = msgspec.json.encode(describe(core.settings, ROUTES, with_keys=bool(core.keys)))
    return web.Response(body=body, headers={"Content-Type": "application/json", "Cache-Control": "no-cache"})


def _bound(components: dict[str, _Json], settings: Settings) -> None:
    """What the settings bound, and what a request must have."""
    fields = components["ChatFields"]["properties"]
    fields["max_tokens"]["anyOf"][0]["maximum"] = settings.limits.max_tokens
    fields["grace"]["anyOf"][0]["maximum"] = settings.resume.max_grace_seconds
    for name in ("prompt", "system"):
        fields[name]["anyOf"][0]["maxLength"] = settings.limits.max_prompt_chars
    components["ChatFields"]["oneOf"] = [
        {"required": [name], "properties": {name: {"type": kind, minimum: 1}}}
        for name, kind, minimum in (("prompt", "string", "minLength"), ("messages", "array", "minItems"))
    ]
    part = {
        "type": "object",
        "properties": {"type": {"type": "string"}, "text": {"type": "string"}},
        "required": ["type"],
        "if": {"properties": {"type": {"const": "text"}}},
        "then": {"required": ["text"]},
    }
    components["Message"]["properties"]["content"]["anyOf"][1]["items"] = part


def _operation(method: str, path: str, components: Mapping[str, _Json]) -> _Json:
    match method, path:
        case "GET", "/api/chat/stream":
            return _starting([*_query(components), _IDEMPOTENCY["query"]], body=False)
        case "POST", "/api/chat/stream":
            return _starting([], body=True)
        case "POST", "/api/chat/streams":
            made = {"headers": {"Location": {"schema": {"type": "string"}}}, **_content("application/json", _OBJECT)}
            answers = {"201": {"description": "Started.", **made}, "200": {"description": "Started before.", **made}}
            return {**_starting([], body=True), "responses": {**answers, **_refused(*_FOR_STARTS, *_FOR_BODIES)}}
        case "GET", "/api/chat/streams/{stream_id}":
            responses = {
                **_STREAM,
                **_refused("malformed", "not_found", "invalid_request", "rate_limited", "forbidden"),
            }
            return {"parameters": [_STREAM_ID, _LAST_EVENT_ID, _LAST_EVENT_ID_HEADER], "responses": responses}
        case "DELETE", "/api/chat/streams/{stream_id}":
            stopped = {"204": {"description": "It has ended."}}
            return {
                "parameters": [_STREAM_ID],
                "responses": {**stopped, **_refused("not_found", "forbidden", "store_unavailable")},
            }
        case _, "/metrics":
            return {"responses": {"200": {"description": "OK", **_content("text/plain", {"type": "string"})}}}
        case _, "/readyz":
            draining = {"503": {"description": "Draining.", **_content("application/json", _OBJECT)}}
            return {"responses": {"200": {"description": "OK", **_content("application/json", _OBJECT)}, **draining}}
        case _:
            return {"responses": {"200": {"description": "OK", **_content("application/json", _OBJECT)}}}


def _starting(query: list[_Json], *, body: bool) -> _Json:
    codes = (*_FOR_STARTS, *(_FOR_BODIES if body else ()))
    operation: _Json = {
        "parameters": [*query, _IDEMPOTENCY["header"], _GRACE],
        "responses": {**_STREAM, **_refused(*codes)},
    }
    if body:
        fields = {"$ref": "#/components/schemas/ChatFields"}
        operation["requestBody"] = {"required": True, **_content("application/json", fields)}
    return operation


def _query(components: Mapping[str, _Json]) -> Iterable[_Json]:
    """The fields of a body that a query may have, as parameters."""
    for name, schema in components["ChatFields"]["properties"].items():
        if name in QUERY_FIELDS:
            value = dict(schema["anyOf"][0])
            if name == "prompt":
                value["minLength"] = 1
            yield {"name": name, "in": "query", "required": name == "prompt", "schema": value}


def _parameter(name: str, where: str, pattern: str, description: str) -> _Json:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": where, "schema": schema, "description": description}


_LAST_EVENT_ID = _parameter("last_event_id", "query", _POSITION, "The last event's id: attach, generate nothing.")
_LAST_EVENT_ID_HEADER = _parameter("Last-Event-ID", "header", _POSITION, "As last_event_id, and before it.")
_IDEMPOTENCY = {
    "query": _parameter("idempotency_key", "query", _KEY, "As the header Idempotency-Key."),
    "header": _parameter("Idempotency-Key", "header", _KEY, "The same again is the stream that the first one started."),
}
_GRACE = _parameter(
    "X-Stream-Grace", "header", r"^[0-9]{1,9}(\.[0-9]{1,9})?$", "Seconds to go on without a reader, if not in the body."
)


def _content(kind: str, schema: _Json) -> _Json:
    return {"content": {kind: {"schema": schema}}}


_EVENT: _Json = {
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
_STREAM = {
    "200": {
        "description": "The stream.",
        **_content("text/event-stream", _EVENT),
    },
    "204": {"description": "The position is the end."},
}


def _refused(*codes: str) -> _Json:
    by_status: dict[str, list[str]] = {}
    for code in (*codes, "method_not_allowed", "internal"):
        by_status.setdefault(str(STATUS[code]), []).append(f"`{code}`")
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        status: {"description": ", ".join(names), **_content("application/problem+json", schema)}
        for status, names in by_status.items()
    }
