"""The words and the sentences by which providers tell what an error is about.

Sources: see :mod:`providers.upstream_errors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

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
)

Kind = type[ProviderError]

_CODE_WORDS: Mapping[Kind, tuple[str, ...]] = {
    QuotaExceeded: (
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error", "quota_exceeded"),
        *("insufficient_balance", "insufficient_credits", "insufficient_funds", "payment_required", "Arrearage"),
        *("contract_spend_limit_reached", "enforced_spend_limit_reached", "budget_exceeded"),
    ),
    ModelNotFound: ("model_not_found", "DeploymentNotFound", "model_decommissioned", "invalid_model"),
    ContextLength: (
        *("context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "string_too_long"),
        *("ContextWindowExceededError", "context_window_exceeded", "model_context_window_exceeded"),
    ),
    ContentFilter: (
        *(
            "content_filter",
            "content_policy_violation",
            "ContentPolicyViolationError",
            "image_content_policy_violation",
        ),
        *("bio_policy", "misalignment_policy_violation", "ResponsibleAIPolicyViolation", "DataInspectionFailed"),
        "invalid_prompt",  # OpenAI's word for a prompt that was flagged
    ),
    RateLimited: (
        *("rate_limit_exceeded", "rate_limit_error", "too_many_requests", "too_many_requests_error"),
        *("request_quota_exceeded", "token_quota_exceeded"),
    ),
    Overloaded: (
        *("overloaded_error", "overloaded", "server_is_overloaded", "engine_overloaded", "slow_down"),
        *("capacity_exceeded", "queue_exceeded", "service_unavailable", "unavailable_error"),
    ),
    ProviderAuth: (
        *("invalid_api_key", "API_KEY_INVALID", "API_KEY_EXPIRED", "wrong_api_key", "authentication_error"),
        *("InvalidApiKey", "unauthenticated", "invalid_authentication", "account_deactivated"),
    ),
    InvalidRequest: (
        *("invalid_image", "invalid_image_format", "invalid_image_url", "invalid_base64_image", "image_too_large"),
        *("image_parse_error", "failed_to_download_image"),
    ),
}
_GENERAL_WORDS: Mapping[Kind, tuple[str, ...]] = {
    InvalidRequest: ("invalid_request_error", "BadRequestError", "invalid_argument", "request_too_large"),
    ModelNotFound: ("not_found_error", "not_found"),
    ProviderAuth: ("permission_error", "permission_denied", "access_denied"),
    RateLimited: ("resource_exhausted",),
    Overloaded: ("unavailable",),
}
"""Words that many different errors share: what the message says counts more."""


def _plain(word: str) -> str:
    """Return ``word`` as it is looked up: ``DataInspectionFailed`` and ``data_inspection_failed`` are one word."""
    return re.sub(r"[^a-z0-9]", "", word[:64].lower())


def _lookup(table: Mapping[Kind, tuple[str, ...]]) -> Mapping[str, Kind]:
    return {_plain(word): kind for kind, words in table.items() for word in words}


_SPECIFIC, _GENERAL = _lookup(_CODE_WORDS), _lookup(_GENERAL_WORDS)
_THROTTLING = "throttling"
"""Alibaba's words for a rate limit begin like this: ``Throttling.RateQuota``."""


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE | re.DOTALL)


_MESSAGE_PATTERNS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (
        _pattern(
            r"context (length|window|size|limit)|maximum context|max_model_len|too many (input )?tokens",
            r"(prompt|input) is too long|exceeds? (the )?context|context the overflows|maximum (prompt|input) length",
            r"exceeds? the (available|maximum)[\w ]* (context|tokens)|tokens \+ .{0,40} must be <=",
            r"reduce the length of the (messages|prompt|input)|exceed(s|ed)? (the )?(model )?token limit",
            r"request too large for|range of input length|maximum allowed input length",
        ),
        ContextLength,
    ),
    (
        _pattern(
            r"(incorrect|invalid|wrong|expired|missing) (api|access)[ _-]?(key|token)",
            r"(api|access)[ _-]?(key|token) (is |was )?(not valid|invalid|expired|incorrect|missing)",
            r"authentication (fails|failed)|valid api[ _-]key",
        ),
        ProviderAuth,
    ),
    (
        _pattern(
            r"insufficient (account )?(balance|credit|quota|fund)|credit balance|out of credits|available credits",
            r"spend(ing)? limit|usage limits?|exceeded your (current quota|monthly)|billing hard limit|overdue payment",
            r"doesn't have any credits|good standing|free (allocated )?quota",
        ),
        QuotaExceeded,
    ),
    (
        _pattern(
            r"content[ _-](filter|policy|polic|management policy|moderation)|usage (guidelines|polic)|safety system",
            r"inappropriate content|(input|prompt|request|output) (was|has been|is) (flagged|blocked)",
            r"prohibited content|flagged (for|as)|requires moderation",
        ),
        ContentFilter,
    ),
    (_pattern(r"invalid url|unknown request url|resource not found", r"^\W*not found\W*$"), InvalidRequest),
    (_pattern(r"model\b.{0,200}\b(not found|does not exist|is not (available|supported))"), ModelNotFound),
)
MAX_MESSAGE = 2000
"""As much of a message as is searched: some quote the prompt."""


def by_word(words: Sequence[str]) -> Kind | None:
    """Return what the first word says that stands for one kind of error."""
    plain = [_plain(word) for word in words]
    kind = next((_SPECIFIC[word] for word in plain if word in _SPECIFIC), None)
    return RateLimited if kind is None and any(word.startswith(_THROTTLING) for word in plain) else kind


def by_general_word(words: Sequence[str]) -> Kind | None:
    """Return what the first word says that many different errors share."""
    return next((_GENERAL[word] for word in map(_plain, words) if word in _GENERAL), None)


def by_message(message: object) -> Kind | None:
    """Return what a sentence says that the error is about."""
    if not isinstance(message, str):
        return None
    text = message[:MAX_MESSAGE]
    return next((kind for pattern, kind in _MESSAGE_PATTERNS if pattern.search(text)), None)
