"""What an error of the Messages API means.

Source: Anthropic's "Errors" page, and the error types and codes of its SDK (``types/shared``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from providers.errors import (
    ContextLength,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    ProviderAuth,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    UpstreamError,
)
from providers.http_errors import by_status, detail_of, retry_after

_BY_TYPE: Mapping[str, type[ProviderError]] = {
    "invalid_request_error": InvalidRequest,
    "authentication_error": ProviderAuth,
    "permission_error": ProviderAuth,
    "billing_error": QuotaExceeded,
    "not_found_error": ModelNotFound,
    "request_too_large": InvalidRequest,
    "rate_limit_error": RateLimited,
    "timeout_error": UpstreamError,
    "api_error": UpstreamError,
    "overloaded_error": Overloaded,
}

_BY_CODE: Mapping[str, type[ProviderError]] = {
    "contract_spend_limit_reached": QuotaExceeded,
    "enforced_spend_limit_reached": QuotaExceeded,
}
"""``details.error_code``, where it says more than the type."""

# Told in the message alone, under invalid_request_error.
_CONTEXT = re.compile(r"prompt is too long|exceeds? (the )?context|context (limit|window)", re.IGNORECASE)
_QUOTA = re.compile(r"credit balance|spend limit|usage limits?", re.IGNORECASE)


def from_answer(status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> ProviderError:
    """The error for an answer that is not a stream. ``body`` is its JSON object, ``{}`` if it had none."""
    error = _error_object(body)
    kind: type[ProviderError]
    if 300 <= status < 400:
        kind = UpstreamError
    elif status >= 500 or status in (408, 409) or not error:
        kind = by_status(status)
        if kind is ModelNotFound:  # a 404 that is not the API's own: a wrong address
            kind = InvalidRequest
    else:
        kind = _kind(error) or by_status(status)
    detail = detail_of(status, error, headers.get("request-id") or body.get("request_id"))
    return kind(retry_after=retry_after(headers), detail=detail)


def from_stream(body: Mapping[str, Any]) -> ProviderError:
    """The error for an ``error`` event in a stream that began with status 200."""
    error = _error_object(body)
    kind = _kind(error) or UpstreamError
    return kind(detail=detail_of(200, error, body.get("request_id")))


def _error_object(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The error, with its ``details.error_code`` as its ``code``."""
    error = body.get("error")
    if not isinstance(error, dict):
        return {}
    details = error.get("details")
    return {**error, "code": details.get("error_code")} if isinstance(details, dict) else error


def _kind(error: Mapping[str, Any]) -> type[ProviderError] | None:
    kind = _BY_CODE.get(str(error.get("code"))) or _BY_TYPE.get(str(error.get("type")))
    message = error.get("message")
    if kind is InvalidRequest and isinstance(message, str):
        if _CONTEXT.search(message):
            return ContextLength
        if _QUOTA.search(message):
            return QuotaExceeded
    if kind is ModelNotFound and message == "Not Found":  # nothing at this address: a wrong base_url
        return InvalidRequest
    return kind
