"""Errors on the vendors' wires: one table from our codes to their statuses and words.

Both vendors' SDKs retry 408, 409, 429 and every status from 500 on, unless ``x-should-retry`` says otherwise:
https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py (``_should_retry``).
Anthropic's is the same code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from streamserver.core.refusals import RETRY_SECONDS, Refusal
from streamserver.log.records import Failed

MAX_RETRY_SECONDS = 60
"""A longer wait is not one that an SDK should make by itself: openai-node ignores it and asks again at once:
https://github.com/openai/openai-node/blob/master/src/client.ts (``retryRequest``)."""


class OpenAIForm(msgspec.Struct, frozen=True):
    """An error of chat completions and Responses. ``code`` None: ours is not shown."""

    status: int
    type: str
    code: str | None


class AnthropicForm(msgspec.Struct, frozen=True):
    """An error of Messages."""

    status: int
    type: str


OPENAI_ERRORS: Mapping[str, OpenAIForm] = {
    "rate_limited": OpenAIForm(429, "rate_limit_error", "rate_limit_exceeded"),
    "quota_exceeded": OpenAIForm(429, "insufficient_quota", "insufficient_quota"),
    "overloaded": OpenAIForm(503, "service_unavailable_error", "server_is_overloaded"),
    "provider_auth": OpenAIForm(502, "server_error", "provider_auth"),
    "model_not_found": OpenAIForm(404, "invalid_request_error", "model_not_found"),
    "context_length": OpenAIForm(400, "invalid_request_error", "context_length_exceeded"),
    "content_filter": OpenAIForm(400, "invalid_request_error", "content_filter"),
    "invalid_request": OpenAIForm(400, "invalid_request_error", None),
    "upstream_unavailable": OpenAIForm(502, "server_error", "upstream_unavailable"),
    "upstream_disconnected": OpenAIForm(502, "server_error", "upstream_disconnected"),
    "upstream_error": OpenAIForm(500, "server_error", "upstream_error"),
    "timeout": OpenAIForm(504, "server_error", "timeout"),
    "cancelled": OpenAIForm(499, "server_error", "cancelled"),
    "shutting_down": OpenAIForm(503, "service_unavailable_error", "shutting_down"),
    "producer_lost": OpenAIForm(502, "server_error", "producer_lost"),
    "stream_expired": OpenAIForm(404, "invalid_request_error", None),
    "too_large": OpenAIForm(500, "server_error", "too_large"),
    "internal": OpenAIForm(500, "server_error", "internal"),
    "malformed": OpenAIForm(400, "invalid_request_error", None),
    "unauthorized": OpenAIForm(401, "invalid_request_error", "invalid_api_key"),
    "forbidden": OpenAIForm(403, "permission_error", "forbidden"),
    "not_found": OpenAIForm(404, "invalid_request_error", "not_found"),
    "method_not_allowed": OpenAIForm(405, "invalid_request_error", "method_not_allowed"),
    "request_timeout": OpenAIForm(408, "invalid_request_error", "request_timeout"),
    "body_too_large": OpenAIForm(413, "invalid_request_error", "body_too_large"),
    "unsupported_media_type": OpenAIForm(415, "invalid_request_error", "unsupported_media_type"),
    "unsupported_parameter": OpenAIForm(400, "invalid_request_error", "unsupported_parameter"),
    "previous_response_not_found": OpenAIForm(400, "invalid_request_error", "previous_response_not_found"),
    "response_not_found": OpenAIForm(404, "invalid_request_error", None),
    "store_unavailable": OpenAIForm(503, "service_unavailable_error", "store_unavailable"),
}
"""Our codes, of failures and of refusals, on OpenAI's wires."""

ANTHROPIC_ERRORS: Mapping[str, AnthropicForm] = {
    "rate_limited": AnthropicForm(429, "rate_limit_error"),
    "quota_exceeded": AnthropicForm(402, "billing_error"),
    "overloaded": AnthropicForm(529, "overloaded_error"),
    "provider_auth": AnthropicForm(502, "api_error"),
    "model_not_found": AnthropicForm(404, "not_found_error"),
    "context_length": AnthropicForm(400, "invalid_request_error"),
    "content_filter": AnthropicForm(400, "invalid_request_error"),
    "invalid_request": AnthropicForm(400, "invalid_request_error"),
    "upstream_unavailable": AnthropicForm(502, "api_error"),
    "upstream_disconnected": AnthropicForm(502, "api_error"),
    "upstream_error": AnthropicForm(500, "api_error"),
    "timeout": AnthropicForm(504, "timeout_error"),
    "cancelled": AnthropicForm(499, "api_error"),
    "shutting_down": AnthropicForm(529, "overloaded_error"),
    "producer_lost": AnthropicForm(502, "api_error"),
    "stream_expired": AnthropicForm(404, "not_found_error"),
    "too_large": AnthropicForm(500, "api_error"),
    "internal": AnthropicForm(500, "api_error"),
    "malformed": AnthropicForm(400, "invalid_request_error"),
    "unauthorized": AnthropicForm(401, "authentication_error"),
    "forbidden": AnthropicForm(403, "permission_error"),
    "not_found": AnthropicForm(404, "not_found_error"),
    "method_not_allowed": AnthropicForm(405, "invalid_request_error"),
    "request_timeout": AnthropicForm(408, "invalid_request_error"),
    "body_too_large": AnthropicForm(413, "request_too_large"),
    "unsupported_media_type": AnthropicForm(415, "invalid_request_error"),
    "unsupported_parameter": AnthropicForm(400, "invalid_request_error"),
    "store_unavailable": AnthropicForm(529, "overloaded_error"),
}
"""The same on Anthropic's wire."""

_NEVER_RETRY = frozenset({"quota_exceeded", "provider_auth", "too_large", "internal"})
"""Codes for which trying again does not help, although an SDK would by their status."""
_SOON = frozenset({"rate_limited", "overloaded", "shutting_down", "store_unavailable"})
"""Codes for which trying again soon may help: each has a ``Retry-After``, also where nothing has said how long."""


def retry_headers(error: Failed | Refusal) -> dict[str, str]:
    """Return ``Retry-After`` and ``x-should-retry`` for an error, where an SDK needs them."""
    wait = error.retry_after
    if wait is None and error.code in _SOON:
        wait = RETRY_SECONDS
    headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
    if error.code in _NEVER_RETRY or (wait or 0) > MAX_RETRY_SECONDS:
        headers["x-should-retry"] = "false"
    return headers
