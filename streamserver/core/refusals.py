"""Why a stream is not started, or not read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import msgspec

UserLimit: TypeAlias = Literal["requests", "streams", "tokens"]
"""The limits of a user: starts per minute, streams at a time, tokens per day."""
LimitName: TypeAlias = Literal[UserLimit, "readers", "max_streams"]
LIMITS: tuple[LimitName, ...] = get_args(LimitName)
"""Every limit that can be reached, by the name that refusals and metrics give it."""

RETRY_SECONDS = 1.0
"""When to try again after a refusal that may soon not apply."""


class LimitInfo(msgspec.Struct, frozen=True):
    """A limit that was reached: ``quota`` per ``window_seconds`` (0: at a time)."""

    name: LimitName
    quota: int
    window_seconds: int = 0


class Refusal(Exception):
    """A refusal to start or read a stream. Each API renders it in its own form.

    ``code`` is one of :data:`REFUSAL_CODES`. ``detail`` is a sentence for the end user and never quotes the
    request. ``field`` names the wrong field of an ``invalid_request``, as the caller named it; ``retry_after``
    (seconds) is when trying again may help; ``limit`` is the limit that was reached. ``headers`` are further response
    headers, which the edge alone sets.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
        limit: LimitInfo | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if code not in REFUSAL_CODES:
            raise ValueError(f"{code!r} is not a code of a refusal; expected one of {', '.join(sorted(REFUSAL_CODES))}")
        self.code = code
        self.detail = detail
        self.field = field
        self.retry_after = retry_after
        self.limit = limit
        self.headers = dict(headers or {})
        super().__init__(code)


REFUSAL_CODES = frozenset(
    {
        "malformed",
        "unauthorized",
        "forbidden",
        "not_found",
        "model_not_found",
        "method_not_allowed",
        "request_timeout",
        "body_too_large",
        "unsupported_media_type",
        "unsupported_parameter",
        "previous_response_not_found",
        "response_not_found",
        "invalid_request",
        "rate_limited",
        "internal",
        "overloaded",
        "shutting_down",
        "store_unavailable",
    }
)
"""Every code of a refusal. The status of each is the rendering API's choice."""


def invalid(field: str, detail: str) -> Refusal:
    """Return the refusal of a request with a wrong ``field``."""
    return Refusal("invalid_request", detail, field=field)


def too_many_streams(max_streams: int) -> Refusal:
    """Return the refusal of a start while ``limits.max_streams`` are running."""
    return Refusal(
        "overloaded",
        "The server runs as many streams as it can. Try again.",
        retry_after=RETRY_SECONDS,
        limit=LimitInfo("max_streams", max_streams),
    )


def too_many_readers(max_readers: int) -> Refusal:
    """Return the refusal of a reader of a stream that has ``limits.max_readers_per_stream`` already."""
    return Refusal(
        "rate_limited",
        f"This stream has {max_readers} readers, which is the most that one may have.",
        retry_after=RETRY_SECONDS,
        limit=LimitInfo("readers", max_readers),
    )


def draining() -> Refusal:
    """Return the refusal of a start while the server is shutting down."""
    return Refusal("shutting_down", "The server is restarting. Try again.", retry_after=RETRY_SECONDS)


def store_unavailable() -> Refusal:
    """Return the refusal of a request that needs the store while it is away, or refuses."""
    return Refusal("store_unavailable", "The server cannot reach its store. Try again.", retry_after=RETRY_SECONDS)


def unknown_stream() -> Refusal:
    """Return the refusal of a request for a stream that is not there, or not retained any more."""
    return Refusal("not_found", "There is no such stream, or it is not kept any more.")
