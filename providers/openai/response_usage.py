"""The token counts of the Responses API."""

from __future__ import annotations

import msgspec

from providers.base import Usage, UsageDetails


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _ResponsesOutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class ResponseUsage(msgspec.Struct):
    """A Response's ``usage``."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _ResponsesOutputDetails | None = None

    def as_usage(self) -> Usage:
        """Return the counts as the event they are."""
        read, written = self.input_tokens_details, self.output_tokens_details
        details = None
        if read is not None or written is not None:
            read, written = read or _InputDetails(), written or _ResponsesOutputDetails()
            details = UsageDetails(
                cached_tokens=read.cached_tokens,
                cache_write_tokens=read.cache_write_tokens,
                reasoning_tokens=written.reasoning_tokens,
            )
        return Usage(self.input_tokens, self.output_tokens, details)
