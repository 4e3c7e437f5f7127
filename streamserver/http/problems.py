"""Refusals: failures before a stream exists, as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import http
import math
from collections.abc import Mapping

import msgspec
from aiohttp import web

from streamserver.core.refusals import LimitName

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
"""Every code of a refusal, and its status."""


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A refusal on the wire (RFC 9457). ``field`` is the wrong field of a 422."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    field: str | None = None


class Problem(Exception):
    """A refusal. ``detail`` is for the person who reads it and never quotes what was sent.

    ``field`` names the wrong field of a 422, ``retry_after`` (seconds) when a 429 or 503 may pass,
    ``limit`` the limit that was reached, for the metrics.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        limit: LimitName | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.status = STATUS[code]
        self.detail = detail
        self.field = field
        self.retry_after = retry_after
        self.limit = limit
        self.headers = dict(headers or {})
        super().__init__(f"{self.status} {code}")

    def response(self, request_id: str) -> web.Response:
        """The refusal as a response."""
        title = http.HTTPStatus(self.status).phrase
        body = ProblemBody("about:blank", title, self.status, self.code, self.detail, request_id, self.field)
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return web.Response(
            status=self.status,
            body=msgspec.json.encode(body),
            headers={**headers, "Cache-Control": "no-store"},
            content_type="application/problem+json",
        )


def invalid(field: str, detail: str) -> Problem:
    """A 422 about ``field``."""
    return Problem("invalid_request", detail, field=field)
