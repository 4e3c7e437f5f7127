"""The usage object of chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.base import UsageDetails
from streamserver.log.records import UNKNOWN_USAGE, Done

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
    prompt = _given(
        cached_tokens=details.cached_tokens,
        cache_write_tokens=details.cache_write_tokens,
        audio_tokens=details.audio_prompt_tokens,
    )
    completion = _given(reasoning_tokens=details.reasoning_tokens, audio_tokens=details.audio_completion_tokens)
    if prompt:
        fields["prompt_tokens_details"] = prompt
    if completion:
        fields["completion_tokens_details"] = completion
    return fields


def complete_usage(own: object, counted: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provider's ``own`` usage, completed from ``counted``: clients read all three counts unguarded."""
    given = {name: value for name, value in own.items() if value is not None} if isinstance(own, dict) else {}
    for name in _COUNTS:
        if isinstance(given.get(name), bool) or not isinstance(given.get(name), (int, float)):
            given[name] = counted[name]
    if not (isinstance(own, dict) and isinstance(own.get(_TOTAL), (int, float))):
        given[_TOTAL] = given["prompt_tokens"] + given["completion_tokens"]
    return {**given, **{name: value for name, value in counted.items() if name not in given}}


def _given(**counts: int | None) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count is not None}
