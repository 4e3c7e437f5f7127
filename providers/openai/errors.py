"""What an OpenAI-speaking server's error means.

Sources: OpenAI's "Error codes" guide; the error bodies of Azure OpenAI, vLLM, Ollama,
llama.cpp, Groq and OpenRouter. Those servers agree on ``{"error": {"message", "type",
"param", "code"}}``, but a ``code`` may be a string, a number or null, ``error`` may be a
plain string, and an overflow of the context is often told in the message alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from providers.errors import (
    ContentFilter,
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

_BY_CODE: Mapping[str, type[ProviderError]] = {
    "insufficient_quota": QuotaExceeded,
    "billing_hard_limit_reached": QuotaExceeded,
    "billing_not_active": QuotaExceeded,
    "model_not_found": ModelNotFound,
    "DeploymentNotFound": ModelNotFound,
    "context_length_exceeded": ContextLength,
    "exceed_context_size_error": ContextLength,
    "string_above_max_length": ContextLength,
    "content_filter": ContentFilter,
    "content_policy_violation": ContentFilter,
    "image_content_policy_violation": ContentFilter,
    "bio_policy": ContentFilter,
    "misalignment_policy_violation": ContentFilter,
    "invalid_prompt": ContentFilter,  # OpenAI's words for a prompt that was flagged
    "rate_limit_exceeded": RateLimited,
    "rate_limit_error": RateLimited,
    "overloaded_error": Overloaded,
    "invalid_api_key": ProviderAuth,
    "authentication_error": ProviderAuth,
    "invalid_request_error": InvalidRequest,
    "invalid_image": InvalidRequest,
    "invalid_image_format": InvalidRequest,
    "invalid_image_url": InvalidRequest,
    "invalid_base64_image": InvalidRequest,
    "image_too_large": InvalidRequest,
    "image_parse_error": InvalidRequest,
    "failed_to_download_image": InvalidRequest,
}

_CONTEXT = re.compile(
    r"context (length|window|size)|maximum context|max_model_len|too many (input )?tokens|(prompt|input) is too long"
    r"|exceeds? the (available|maximum)[\w ]* (context|tokens)|maximum prompt length|tokens \+ .{0,40} must be <=",
    re.IGNORECASE,
)
_NO_ADDRESS = re.compile(r"invalid url|unknown request url|resource not found", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"model\b.{0,200}\b(not found|does not exist|is not (available|supported))", re.IGNORECASE | re.DOTALL
)


def from_answer(status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> ProviderError:
    """The error for an answer that is not a stream. ``body`` is its JSON object, ``{}`` if it had none."""
    if 300 <= status < 400:
        kind: type[ProviderError] = UpstreamError
        error: Mapping[str, Any] = {}
    else:
        error = _error_object(body)
        word = _by_word(error) if 400 <= status < 500 else None
        kind = by_status(status) if word is None or word is InvalidRequest else word
        if kind is InvalidRequest or kind is ModelNotFound:
            kind = _by_message(error) or (kind if error else InvalidRequest)
    # Azure's gateway answers under the second name.
    request_id = headers.get("x-request-id") or headers.get("apim-request-id")
    detail = detail_of(status, error, request_id)
    return kind(retry_after=retry_after(headers), detail=detail)


def from_stream(error: object) -> ProviderError:
    """The error for an in-band ``{"error": …}`` in a stream that began with status 200."""
    described = _error_object({"error": error})
    code = described.get("code")
    kind = _by_word(described)
    if kind is None and (status := _as_status(code)) is not None:
        kind = by_status(status)
    if kind is None or kind is InvalidRequest:
        kind = _by_message(described) or kind or UpstreamError
    return kind(detail=detail_of(200, described, None))


def _error_object(body: Mapping[str, Any]) -> Mapping[str, Any]:
    error = body.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {"message": error}
    return body if "message" in body else {}


def _by_word(error: Mapping[str, Any]) -> type[ProviderError] | None:
    """By ``code``, else by ``type``."""
    for name in ("code", "type"):
        word = error.get(name)
        if isinstance(word, str) and word in _BY_CODE:
            return _BY_CODE[word]
    return None


def _by_message(error: Mapping[str, Any]) -> type[ProviderError] | None:
    message = error.get("message")
    if not isinstance(message, str):
        return None
    if _CONTEXT.search(message):
        return ContextLength
    if _NO_ADDRESS.search(message):
        return InvalidRequest
    return ModelNotFound if _NO_MODEL.search(message) else None


def _as_status(code: object) -> int | None:
    """A ``code`` that is the HTTP status which the server would have answered with."""
    if isinstance(code, str) and re.fullmatch("[45][0-9][0-9]", code):
        return int(code)
    return code if type(code) is int and 400 <= code < 600 else None
