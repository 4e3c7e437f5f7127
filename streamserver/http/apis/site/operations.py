"""The OpenAPI operations of health and metrics."""

from __future__ import annotations

from streamserver.http.openapi import OBJECT, OK, Json, content, refusal_responses
from streamserver.http.routing import Components


def alive(components: Components) -> Json:
    return {"responses": {**OK, **refusal_responses()}}


def ready(components: Components) -> Json:
    unready = {"503": {"description": "Not ready.", **content("application/json", OBJECT)}}
    return {"responses": {**OK, **refusal_responses(), **unready}}


def metrics(components: Components) -> Json:
    text = {"200": {"description": "OK", **content("text/plain", {"type": "string"})}}
    return {"responses": {**text, **refusal_responses()}}
