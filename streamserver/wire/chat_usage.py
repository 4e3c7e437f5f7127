"""The usage object of chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.base import UsageDetails
from providers.lenient import as_object
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
        if not _is_count(given.get(name)):
            given[name] = counted[name]
    if not _is_count(as_object(own).get(_TOTAL)):
        given[_TOTAL] = given["prompt_tokens"] + given["completion_tokens"]
    return {**given, **{name: value for name, value in counted.items() if name not in given}}


def _is_count(value: object) -> bool:
    """Return whether ``value`` is a count. Some servers send zeros, or -1, after the right ones, or in their place."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < MAX_COUNT


MAX_COUNT = 2**53
"""Counts from here on are none: JavaScript could not read them."""
