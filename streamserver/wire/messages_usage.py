"""The usage object of Messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.base import UsageDetails
from streamserver.log.records import UNKNOWN_USAGE, Done

NO_USAGE: Mapping[str, int] = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}
"""The usage of a message that has just begun: its clients demand numbers."""


def usage_fields(done: Done) -> dict[str, Any]:
    """Return the usage of an answer. Unlike ours, ``input_tokens`` is what was neither read from a cache nor written
    to one."""
    usage, details = done.usage or UNKNOWN_USAGE, done.usage_details or UsageDetails()
    cached, written = details.cached_tokens or 0, details.cache_write_tokens or 0
    fields: dict[str, Any] = {
        "input_tokens": max(0, usage.prompt_tokens - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.completion_tokens,
    }
    if details.cache_write_5m_tokens is not None or details.cache_write_1h_tokens is not None:
        fields["cache_creation"] = {
            "ephemeral_5m_input_tokens": details.cache_write_5m_tokens or 0,
            "ephemeral_1h_input_tokens": details.cache_write_1h_tokens or 0,
        }
    if details.reasoning_tokens is not None:
        fields["output_tokens_details"] = {"thinking_tokens": details.reasoning_tokens}
    return fields
