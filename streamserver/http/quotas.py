"""A user's limits, and the refusal when they are reached."""

from __future__ import annotations

import math
from collections.abc import Mapping

from aiohttp import web

from streamserver.admission import LimitReached, Quota
from streamserver.config.settings import Settings, User
from streamserver.core.refusals import UserLimit
from streamserver.http.core import core_of
from streamserver.http.problems import Problem
from streamserver.http.state import KEY_NAME

ANYBODY = User()
"""Who has no table of their own in the settings."""

_SAID: Mapping[UserLimit, str] = {
    "requests": "You may start {quota} streams a minute.",
    "streams": "You may have {quota} streams at a time.",
    "tokens": "You may use {quota} tokens a day, and have.",
}
_UNITS: Mapping[UserLimit, str] = {"requests": "requests", "streams": "concurrent-requests", "tokens": "tokens"}


def user_of(request: web.Request) -> User:
    """What the request's key may do; the anonymous have no table."""
    return core_of(request).settings.auth.users.get(request[KEY_NAME], ANYBODY)


def quota_of(user: User, settings: Settings) -> Quota:
    """The user's own limits, and everybody's where they have none."""
    limits = settings.limits
    return Quota(
        _first(user.max_streams, limits.max_streams_per_user),
        _first(user.requests_per_minute, limits.requests_per_minute),
        _first(user.tokens_per_day, limits.tokens_per_day),
    )


def refusal(reached: LimitReached) -> Problem:
    """A 429 that says which limit, and when to come back.

    ``RateLimit`` and ``RateLimit-Policy`` are those of draft-ietf-httpapi-ratelimit-headers-10;
    ``tokens`` is a quota unit of our own.
    """
    seconds = max(1, math.ceil(reached.retry_after))
    window = f";w={reached.window}" if reached.window else ""
    policy = f'"{reached.limit}";q={reached.quota};qu="{_UNITS[reached.limit]}"{window}'
    return Problem(
        "rate_limited",
        _SAID[reached.limit].format(quota=reached.quota),
        retry_after=seconds,
        limit=reached.limit,
        headers={"RateLimit-Policy": policy, "RateLimit": f'"{reached.limit}";r=0;t={seconds}'},
    )


def _first(own: int | None, everybodys: int) -> int:
    return everybodys if own is None else own
