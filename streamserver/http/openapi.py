"""``/openapi.json``: the API described in OpenAPI 3.1, from the table of routes and the models that validate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from providers.base import Reasoning, ToolCall
from streamserver.config.settings import Settings
from streamserver.http.apis.native.chat import QUERY_FIELDS, ChatFields
from streamserver.http.core import core_of
from streamserver.http.position import POSITION
from streamserver.http.problems import STATUS, ProblemBody
from streamserver.http.starting import KEY
from streamserver.log.records import Done, Failed, Start
from streamserver.version import __version__

_Json = dict[str, Any]
_MODELS = (ChatFields, ProblemBody, Start, Done, Failed, Reasoning, ToolCall)
_STREAM_ID = {"name": "stream_id", "in": "path", "required": True, "schema": {"type": "string"}}
_FOR_ALL = ("forbidden", "method_not_allowed", "internal")
_FOR_QUERIES = ("malformed", "invalid_request")
_FOR_BODIES = ("request_timeout", "body_too_large")
_FOR_STARTS = (*_FOR_QUERIES, *_FOR_BODIES, "rate_limited", "overloaded", "shutting_down", "store_unavailable")
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
        "info": {"title": "streamserver", "version": __version__, "description": _DESCRIPTION},
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
    prompt, messages = _filled("string"), {"type": "array", "contains": _SAYS_SOMETHING}
    components["ChatFields"]["oneOf"] = [
        {"required": ["prompt"], "properties": {"prompt": prompt, "messages": {"type": "null"}}},
        {"required": ["messages"], "properties": {"messages": messages, "prompt": {"type": "null"}}},
    ]
    part = {
        "type": "object",
        "properties": {"type": {"type": "string"}, "text": {"type": "string"}},
        "required": ["type"],
        "if": {"properties": {"type": {"const": "text"}}},
        "then": {"required": ["text"]},
    }
    message = components["Message"]
    message["properties"]["content"]["anyOf"][1]["items"] = part
    for name in ("reasoning", "extra"):  # read from vendors' own fields, which any message may have
        del message["properties"][name]
    message["additionalProperties"] = True
    del components["ReasoningBlock"], components["Opaque"]


def _filled(kind: str) -> _Json:
    return {"type": kind, {"string": "minLength", "array": "minItems"}[kind]: 1}


def _with(name: str, schema: _Json) -> _Json:
    return {"type": "object", "required": [name], "properties": {name: schema}}


_SAYS_SOMETHING: _Json = {
    "anyOf": [
        _with("content", _filled("string")),
        _with(
            "content",
            {
                "type": "array",
                "contains": {
                    "anyOf": [{"properties": {"type": {"not": {"const": "text"}}}}, _with("text", _filled("string"))]
                },
            },
        ),
        _with("tool_calls", _filled("array")),
        _with("refusal", _filled("string")),
    ]
}
"""At least one of the messages has to."""


def _operation(method: str, path: str, components: Mapping[str, _Json]) -> _Json:
    grace = components["ChatFields"]["properties"]["grace"]["anyOf"][0]
    starting = [_IDEMPOTENCY["header"], {"name": "X-Stream-Grace", "in": "header", "schema": grace}]
    match method, path:
        case "GET", "/api/chat/stream":
            parameters = [*_query(components), _IDEMPOTENCY["query"], *starting, *_ATTACHING]
            return {"parameters": parameters, "responses": {**_STREAM, **_refused(*_FOR_STARTS)}}
        case "POST", "/api/chat/stream":
            return {"parameters": [*starting, *_ATTACHING], **_BODY, "responses": {**_STREAM, **_REFUSED_BODY}}
        case "POST", "/api/chat/streams":
            made = {"headers": {"Location": {"schema": {"type": "string"}}}, **_content("application/json", _OBJECT)}
            answers = {"201": {"description": "Started.", **made}, "200": {"description": "Started before.", **made}}
            return {"parameters": starting, **_BODY, "responses": {**answers, **_REFUSED_BODY}}
        case "GET", "/api/chat/streams/{stream_id}":
            refused = _refused(*_FOR_QUERIES, *_FOR_BODIES, "not_found", "rate_limited")
            return {"parameters": [_STREAM_ID, *_ATTACHING], "responses": {**_STREAM, **refused}}
        case "DELETE", "/api/chat/streams/{stream_id}":
            refused = _refused(*_FOR_QUERIES, "not_found", "store_unavailable")
            return {"parameters": [_STREAM_ID], "responses": {"204": {"description": "It has ended."}, **refused}}
        case "GET", "/api/providers":
            return {"responses": {**_OK, **_refused(*_FOR_QUERIES)}}
        case "GET", "/metrics":
            shown = {"200": {"description": "OK", **_content("text/plain", {"type": "string"})}}
            return {"responses": {**shown, **_refused()}}
        case "GET", "/readyz":
            draining = {"503": {"description": "Draining.", **_content("application/json", _OBJECT)}}
            return {"responses": {**_OK, **_refused(), **draining}}
        case "GET", "/healthz":
            return {"responses": {**_OK, **_refused()}}
        case _:
            raise LookupError(f"nobody has described {method} {path}")


def _query(components: Mapping[str, _Json]) -> Iterable[_Json]:
    """The fields of a body that a query may have, as parameters."""
    for name, schema in components["ChatFields"]["properties"].items():
        if name in QUERY_FIELDS:
            value = dict(schema["anyOf"][0])
            if name == "prompt":
                value["minLength"] = 1
            yield {"name": name, "in": "query", "required": name == "prompt", "schema": value}


def _parameter(name: str, where: str, pattern: str, description: str) -> _Json:
    schema = {"type": "string", "pattern": f"^({pattern})$"}
    return {"name": name, "in": where, "schema": schema, "description": description}


def _content(kind: str, schema: _Json) -> _Json:
    return {"content": {kind: {"schema": schema}}}


def _refused(*codes: str) -> _Json:
    """The refusals that there are of an operation: these, and those of all."""
    by_status: dict[str, list[str]] = {}
    for code in (*codes, *_FOR_ALL):
        by_status.setdefault(str(STATUS[code]), []).append(f"`{code}`")
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        status: {"description": ", ".join(names), **_content("application/problem+json", schema)}
        for status, names in by_status.items()
    }


_OK: _Json = {"200": {"description": "OK", **_content("application/json", _OBJECT)}}
_BODY: _Json = {
    "requestBody": {"required": True, **_content("application/json", {"$ref": "#/components/schemas/ChatFields"})}
}
_REFUSED_BODY = _refused(*_FOR_STARTS, "unsupported_media_type")
_ATTACHING = [
    _parameter("last_event_id", "query", f"({POSITION})?", "The last event's id: attach, generate nothing."),
    _parameter("Last-Event-ID", "header", f"({POSITION})?", "As last_event_id, and before it."),
]
_IDEMPOTENCY = {
    "query": _parameter("idempotency_key", "query", KEY, "As the header Idempotency-Key."),
    "header": _parameter("Idempotency-Key", "header", KEY, "The same again is the stream that the first one started."),
}

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
