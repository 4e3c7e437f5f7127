"""Why there is no answer, or not the whole of it."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

from streamserver.log.records import TokenUsage

NOT_A_STREAMSERVER = "not_a_streamserver"


class StreamError(Exception):
    """A wrong argument, the server's refusal, a stream's error, or a server that cannot be reached.

    ``code`` is one of the server's, or ``unreachable`` (the server was never reached), ``connection_lost`` (the
    connection was lost for too long) or ``not_a_streamserver``. ``field`` is the argument or field that is wrong.
    ``retry_after`` is in seconds, None where unknown. ``status`` is the HTTP status of a refusal.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        request_id: str | None = None,
        usage: TokenUsage | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.retryable = retryable
        self.retry_after = retry_after
        self.request_id = request_id
        self.usage = usage
        self.status = status


def require(holds: object, field: str, problem: str) -> None:
    """Raise a :class:`StreamError` about the argument ``field`` unless ``holds``."""
    if not holds:
        raise StreamError("invalid_request", f"{field} {problem}.", field=field)


def not_a_streamserver(status: int, content_type: str) -> StreamError:
    """Return the error for an answer that no streamserver gives."""
    return StreamError(
        NOT_A_STREAMSERVER,
        "This is not a streamserver, or a proxy changed its answer: "
        f"status {status}, content type {content_type or 'none'}.",
        retryable=status >= 500,
        status=status,
    )


class _Problem(msgspec.Struct):
    code: str
    detail: str
    field: str | None = None
    request_id: str | None = None


async def refusal_of(response: aiohttp.ClientResponse) -> StreamError:
    """Read why the server, or what stands in for it, refused a request."""
    status, content_type = response.status, response.headers.get("Content-Type", "")
    seconds = response.headers.get("Retry-After", "")
    facts: dict[str, Any] = {
        "status": status,
        "retryable": status == 429 or status >= 500,
        "retry_after": float(seconds) if seconds.isdigit() else None,
    }
    try:
        problem = msgspec.json.decode(await response.read(), type=_Problem)
    except msgspec.DecodeError:
        error = not_a_streamserver(status, content_type)
        error.retry_after = facts["retry_after"]
        return error
    return StreamError(problem.code, problem.detail, field=problem.field, request_id=problem.request_id, **facts)
