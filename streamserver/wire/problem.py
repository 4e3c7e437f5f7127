"""Refusals on the native wire: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import http
import math
from collections.abc import Mapping

import msgspec

from streamserver.core.refusals import LimitInfo, LimitName, Refusal
from streamserver.wire.base import HTTPAnswer

STATUS: Mapping[str, int] = {
    "malformed": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_request": 422,
    "rate_limited": 429,
    "internal": 500,
    "overloaded": 503,
    "shutting_down": 503,
    "store_unavailable": 503,
}
"""Every code of a refusal on the native wire, and its status."""

_LIMIT_UNITS: Mapping[LimitName, str] = {"requests": "requests", "streams": "concurrent-requests", "tokens": "tokens"}


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A refusal as RFC 9457 has it. ``field`` is the wrong field of a 422."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    field: str | None = None


def render(refusal: Refusal, request_id: str) -> HTTPAnswer:
    """Return ``refusal`` in the native form."""
    status = STATUS[refusal.code]
    title = http.HTTPStatus(status).phrase
    body = ProblemBody("about:blank", title, status, refusal.code, refusal.detail, request_id, refusal.field)
    return HTTPAnswer(status, msgspec.json.encode(body), "application/problem+json", refusal_headers(refusal))


def refusal_headers(refusal: Refusal) -> dict[str, str]:
    """Return the headers of a refusal, the same on every wire: its own, when to come back, and the limit.

    ``RateLimit`` and ``RateLimit-Policy`` are those of draft-ietf-httpapi-ratelimit-headers-10; ``tokens`` is a quota
    unit of our own.
    """
    headers = dict(refusal.headers)
    if refusal.retry_after is None:
        return headers
    seconds = max(1, math.ceil(refusal.retry_after))
    headers["Retry-After"] = str(seconds)
    limit = refusal.limit
    unit = None if limit is None else _LIMIT_UNITS.get(limit.name)
    if limit is not None and unit is not None:
        headers["RateLimit-Policy"] = f'"{limit.name}";q={limit.quota};qu="{unit}"{_window(limit)}'
        headers["RateLimit"] = f'"{limit.name}";r=0;t={seconds}'
    return headers


def _window(limit: LimitInfo) -> str:
    return f";w={limit.window_seconds}" if limit.window_seconds else ""
