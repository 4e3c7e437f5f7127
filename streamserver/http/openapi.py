"""``/openapi.json``: the API described in OpenAPI 3.1, from the table of routes and the models that validate."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec

from streamserver.config.settings import Settings
from streamserver.http.routing import Access, Router
from streamserver.version import __version__
from streamserver.wire.problem import STATUS, ProblemBody

Json: TypeAlias = dict[str, Any]
ALL_CODES = ("forbidden", "method_not_allowed", "internal")
"""Refusals that any operation may give."""
QUERY_CODES = ("malformed", "invalid_request")
BODY_CODES = ("request_timeout", "body_too_large")
START_CODES = (*QUERY_CODES, *BODY_CODES, "rate_limited", "overloaded", "shutting_down", "store_unavailable")
OBJECT: Json = {"type": "object"}

_PATTERN = re.compile(r"\{(\w+):[^}]*\}")
"""A path parameter of aiohttp's with a pattern, which OpenAPI has no form for."""
_DESCRIPTION = (
    "Streams tokens from language models as Server-Sent Events. The native events' `data` is text (`message`), or "
    "JSON: `start` is StartData, `reasoning` Reasoning, `tool_call` ToolCall, `done` DoneData, `error` ErrorData. "
    "A request with a position (`Last-Event-ID: {stream_id}:{n}`, or `last_event_id` in the query) attaches where it "
    "was sent and starts nothing."
)


def describe(settings: Settings, router: Router, *, with_keys: bool) -> Json:
    """Return the description of every route that has an operation, under ``settings``.

    ``with_keys``: API keys are configured. Then the providers' names are left out: anyone may read the description,
    and only callers with a key may know them.
    """
    schemas = dict.fromkeys(schema for api in router.apis for schema in api.schemas)
    _, components = msgspec.json.schema_components((ProblemBody, *schemas), ref_template="#/components/schemas/{name}")
    for api in router.apis:
        if api.bind_schemas is not None:
            api.bind_schemas(components, settings, with_keys)
    paths: dict[str, Json] = {}
    for _, route in router:
        if route.operation is None:
            continue
        operation = {"summary": route.summary, **route.operation(components)}
        if with_keys and route.access in (Access.KEY, Access.POSITION):
            operation["security"] = [{"bearer": []}, {"header": []}]
            operation["responses"] = {**operation["responses"], **refusal_responses("unauthorized")}
        paths.setdefault(_PATTERN.sub(r"{\1}", route.path), {})[route.method.lower()] = operation
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


def filled(kind: str) -> Json:
    """Return the schema of a string or an array that is not empty."""
    return {"type": kind, {"string": "minLength", "array": "minItems"}[kind]: 1}


def having(name: str, schema: Json) -> Json:
    """Return the schema of an object with the property ``name``."""
    return {"type": "object", "required": [name], "properties": {name: schema}}


def parameter(name: str, where: str, pattern: str, description: str) -> Json:
    schema = {"type": "string", "pattern": f"^({pattern})$"}
    return {"name": name, "in": where, "schema": schema, "description": description}


def content(kind: str, schema: Json) -> Json:
    return {"content": {kind: {"schema": schema}}}


def whole_or_streamed(description: str) -> Json:
    """Return the response of an operation that answers with a JSON object or with an event stream."""
    whole, streamed = content("application/json", OBJECT), content("text/event-stream", {"type": "string"})
    return {"description": description, "content": {**whole["content"], **streamed["content"]}}


def refusal_responses(*codes: str) -> Json:
    """Return the responses of an operation's refusals: these codes, and those of every operation."""
    by_status: dict[str, list[str]] = {}
    for code in (*codes, *ALL_CODES):
        by_status.setdefault(str(STATUS[code]), []).append(f"`{code}`")
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        status: {"description": ", ".join(names), **content("application/problem+json", schema)}
        for status, names in by_status.items()
    }


OK: Json = {"200": {"description": "OK", **content("application/json", OBJECT)}}
"""The responses of an operation that returns a JSON object."""
