"""Every way a stream can fail: one table, from which the wire, the log and the docs are made."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from providers.errors import BY_CODE, ProviderError
from streamserver.log.records import Failed


class Failure(msgspec.Struct, frozen=True):
    """A row of :data:`FAILURES`. ``message`` is for the end user."""

    retryable: bool
    message: str


FAILURES: Mapping[str, Failure] = {
    **{code: Failure(kind.retryable, kind.default_message) for code, kind in BY_CODE.items()},
    "cancelled": Failure(False, "The answer was stopped."),
    "shutting_down": Failure(True, "The server is restarting. Try again in a moment."),
    "producer_lost": Failure(True, "The server that was writing this answer is gone. Try again."),
    "stream_expired": Failure(False, "This answer is not kept any more."),
    "too_large": Failure(False, "The answer grew too large for this server."),
    "internal": Failure(False, "Something went wrong in this server. Its log has the details under this request id."),
}
"""Code → what it means: the contract's table."""


def failed(code: str, *, request_id: str, message: str | None = None) -> Failed:
    """Return the terminal record for ``code``, without a usage."""
    failure = FAILURES[code]
    return Failed(code, message or failure.message, failure.retryable, None, request_id, None)


def failed_with(error: ProviderError, *, request_id: str) -> Failed:
    """Return the terminal record for what a provider raised, without a usage."""
    return Failed(
        error.code,
        error.message,
        error.retryable,
        error.retry_after,
        request_id,
        None,
        param=error.detail.param if error.code == "invalid_request" else None,
    )
