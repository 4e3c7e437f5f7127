"""What a stream cost, also when the provider did not say."""

from __future__ import annotations

import math
from typing import TypeGuard

from providers.base import DELTAS, ChatRequest, Frame, ToolCall, Usage, UsageDetails
from providers.message_text import request_texts
from streamserver.log.base import Log
from streamserver.log.records import TokenUsage

CHARS_PER_TOKEN = 4
"""OpenAI's rule of thumb for English."""


class TokenCount:
    """Tokens of one stream: the provider's numbers, and ours for what it leaves out, read off its log when asked for.

    Our number for the answer is one token a piece, or one per four characters if that is
    more: servers send a token a piece, or several. The provider's numbers only rise, however
    often it gives them, and are exact unless pieces came after them. Those of an attempt that
    failed are told only if the next one neither counts nor answers.
    """

    __slots__ = (
        "_completion",
        "_log",
        "_of_failed_attempt",
        "_prompt",
        "_reported_at",
        "_request",
        "around",
        "details",
    )

    def __init__(self, request: ChatRequest, log: Log) -> None:
        self._request = request
        self._log = log
        self.around = 1
        """How many records are no pieces, besides the end: the start, and what is told around the pieces."""
        self._prompt: int | None = None
        self._completion: int | None = None
        self.details: UsageDetails | None = None
        """The parts of the usage, as the provider gave them last."""
        self._reported_at: int | None = None
        """How many pieces there were when the provider last counted."""
        self._of_failed_attempt = False
        """The numbers are those of an attempt that failed."""

    @property
    def pieces(self) -> int:
        """How many pieces the answer has."""
        return len(self._log) - self.around - (self._log.terminal is not None)

    def begin_attempt(self) -> None:
        """Take the numbers until now for those of an attempt that failed."""
        self._of_failed_attempt = True

    def report(self, usage: Usage) -> None:
        """Take the provider's own numbers."""
        self._forget_failed_attempt()
        if _is_count(usage.prompt_tokens):
            self._prompt = max(self._prompt or 0, usage.prompt_tokens)
        if _is_count(usage.completion_tokens):
            self._completion = max(self._completion or 0, usage.completion_tokens)
            self._reported_at = self.pieces
        self.details = usage.details or self.details

    def total(self) -> TokenUsage:
        """Return the counts until now."""
        pieces = self.pieces
        if pieces:
            self._forget_failed_attempt()
        stale = self._reported_at != pieces
        exact = self._prompt is not None and self._completion is not None and not stale
        prompt = self._prompt if self._prompt is not None else estimate_prompt_tokens(self._request)
        completion = self._completion or 0
        if stale:
            completion = max(completion, pieces, math.ceil(self._chars() / CHARS_PER_TOKEN))
        return TokenUsage(prompt, completion, prompt + completion, estimated=not exact)

    def _forget_failed_attempt(self) -> None:
        if self._of_failed_attempt:
            self._of_failed_attempt = False
            self._prompt = self._completion = self._reported_at = self.details = None

    def _chars(self) -> int:
        """Count in one pass over the log, 0.1 µs a piece; not made where the provider has counted."""
        return sum(
            len(piece.arguments if isinstance(piece, ToolCall) else piece.text)
            for record in self._log.take(0, len(self._log))
            for piece in (record.pieces if isinstance(record, Frame) else (record,))
            if isinstance(piece, DELTAS)
        )


def _is_count(value: int | None) -> TypeGuard[int]:
    """Return whether a provider's number can be a count: not negative, and no more than a JSON number can hold."""
    return value is not None and 0 <= value < 2**53


def estimate_prompt_tokens(request: ChatRequest) -> int:
    """Return how many tokens a request's text probably has."""
    chars = sum(map(len, request_texts(request.messages, request.tools, request.tool_choice)))
    return max(1, math.ceil(chars / CHARS_PER_TOKEN))
