"""The grace of a stream: how long its generation goes on without a reader."""

from __future__ import annotations

from aiohttp import web

from streamserver.config.settings import Settings
from streamserver.core.refusals import invalid
from streamserver.http.query import is_number


def grace_header(request: web.Request, settings: Settings) -> float | None:
    """Return the seconds in ``X-Stream-Grace``, None without one. Raises a refusal for a malformed one."""
    text = request.headers.get("X-Stream-Grace")
    if text is None:
        return None
    most = settings.resume.max_grace_seconds
    if not is_number(text) or not 0 <= float(text) <= most:
        raise invalid("X-Stream-Grace", f"X-Stream-Grace is a number of seconds, at most {most:g}.")
    return float(text)


def grace_of(requested: float | None, settings: Settings, *, has_key: bool) -> float:
    """Return the grace of a request that asked for ``requested`` seconds, or for none in particular.

    A request with an idempotency key has a longer one, so that a retry after a cut finds its stream running.
    """
    resume = settings.resume
    if requested is None:
        return max(resume.grace_seconds, resume.keyed_grace_seconds) if has_key else resume.grace_seconds
    if requested > resume.max_grace_seconds:
        raise invalid("grace", f"grace is at most {resume.max_grace_seconds:g} seconds.")
    return requested
