"""What a stream cost, also when the provider did not say."""

from __future__ import annotations

import math
from typing import TypeGuard

from providers.base import ChatRequest, Delta, ToolCall, Usage
from providers.texts import texts
from streamserver.log.records import TokenUsage

CHARS_PER_TOKEN = 4
"""OpenAI's rule of thumb for English."""


class TokenCount:
    """Tokens of one stream: the provider's numbers, and ours for what it leaves out.

    Our number for the answer is one token a piece, or one per four characters if that is
    more: servers send a token a piece, or several. The provider's numbers only rise, however
    often it gives them, and are exact unless pieces came after them.
    """

    __slots__ = ("_chars", "_completion", "_prompt", "_request", "_stale", "pieces")

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._chars = 0
        self.pieces = 0
        """How many were added."""
        self._prompt: int | None = None
        self._completion: int | None = None
        self._stale = True

    def add(self, piece: Delta) -> None:
        """Count a piece of the answer."""
        self.pieces += 1
        self._chars += len(piece.arguments) if isinstance(piece, ToolCall) else len(piece.text)
        self._stale = True

    def report(self, usage: Usage) -> None:
        """Take the provider's own numbers."""
        if _is_count(usage.prompt_tokens):
            self._prompt = max(self._prompt or 0, usage.prompt_tokens)
        if _is_count(usage.completion_tokens):
            self._completion = max(self._completion or 0, usage.completion_tokens)
            self._stale = False

    def total(self) -> TokenUsage:
        """Everything until now."""
        exact = self._prompt is not None and self._completion is not None and not self._stale
        prompt = self._prompt if self._prompt is not None else _tokens_in(self._request)
        completion = self._completion or 0
        if self._stale:
            completion = max(completion, self.pieces, math.ceil(self._chars / CHARS_PER_TOKEN))
        return TokenUsage(prompt, completion, prompt + completion, estimated=not exact)


def _is_count(said: int | None) -> TypeGuard[int]:
    """Whether a provider's number can be one: some count in nonsense, none in more than a JSON number can hold."""
    return said is not None and 0 <= said < 2**53


def _tokens_in(request: ChatRequest) -> int:
    chars = sum(map(len, texts(request.messages, request.tools, request.tool_choice)))
    return max(1, math.ceil(chars / CHARS_PER_TOKEN))
