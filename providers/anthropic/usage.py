"""The token counts of the Messages API."""

from __future__ import annotations

import msgspec

from providers.base import Usage, UsageDetails


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _MessagesOutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class MessageUsage(msgspec.Struct):
    """A ``usage``. The counts are cumulative, but a later one may leave out those that have not changed."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _MessagesOutputDetails | None = None

    def updated(self, later: MessageUsage) -> MessageUsage:
        """Return these counts with those that ``later`` gives."""
        given = {name: value for name in self.__struct_fields__ if (value := getattr(later, name)) is not None}
        return msgspec.structs.replace(self, **given)

    def as_usage(self) -> Usage:
        """Return the counts as the event they are. Cached input is in the context and on the bill, and so counted."""
        parts = (self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens)
        prompt = None if self.input_tokens is None else sum(part or 0 for part in parts)
        creation = self.cache_creation or _CacheCreation()
        details = UsageDetails(
            cached_tokens=self.cache_read_input_tokens,
            cache_write_tokens=self.cache_creation_input_tokens,
            cache_write_5m_tokens=creation.ephemeral_5m_input_tokens,
            cache_write_1h_tokens=creation.ephemeral_1h_input_tokens,
            reasoning_tokens=(self.output_tokens_details or _MessagesOutputDetails()).thinking_tokens,
        )
        return Usage(prompt, self.output_tokens, details if details != UsageDetails() else None)
