"""The usage object of chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.base import UsageDetails
from providers.lenient import as_count, as_object
from streamserver.log.records import UNKNOWN_USAGE, Done
from streamserver.wire.events import without_nulls

_TOTAL = "total_tokens"
_COUNTS = ("prompt_tokens", "completion_tokens", _TOTAL)


def usage_fields(done: Done) -> dict[str, Any]:
    """Return the usage of an answer. Counts that we estimated look like others: the wire has no mark for them."""
    usage, details = done.usage or UNKNOWN_USAGE, done.usage_details or UsageDetails()
    fields: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    parts: Mapping[str, Mapping[str, int | None]] = {
        "prompt_tokens_details": {
            "cached_tokens": details.cached_tokens,
            "cache_write_tokens": details.cache_write_tokens,
            "audio_tokens": details.audio_prompt_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": details.reasoning_tokens,
            "audio_tokens": details.audio_completion_tokens,
        },
    }
    return fields | {name: known for name, counts in parts.items() if (known := without_nulls(counts))}


def complete_usage(own: object, counted: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provider's ``own`` usage, completed from ``counted``: clients read all three counts unguarded."""
    given: dict[str, Any] = without_nulls(as_object(own))
    for name in _COUNTS:
        count = _count(given.get(name))
        given[name] = counted[name] if count is None else count
    if _count(as_object(own).get(_TOTAL)) is None:
        given[_TOTAL] = given["prompt_tokens"] + given["completion_tokens"]
    return {**given, **{name: value for name, value in counted.items() if name not in given}}


def _count(value: object) -> int | None:
    """Return ``value`` if it is a count: 12.0 is 12. Some servers send zeros, or -1, after the right ones, or in their
    place."""
    count = as_count(value) if isinstance(value, (int, float)) else None
    return count if count is not None and 0 < count < MAX_COUNT else None


MAX_COUNT = 2**53
"""Counts from here on are none: JavaScript could not read them."""
