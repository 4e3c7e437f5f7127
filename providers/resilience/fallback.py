"""Asking somebody else, before the first token only."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from providers.base import AttemptFailed, ChatRequest, Event, Provider, is_token
from providers.errors import ModelNotFound, ProviderError
from providers.resilience.breaker import PROVIDERS_FAULT, Breaker

CURED_ELSEWHERE = (*PROVIDERS_FAULT, ModelNotFound)
"""Failures that another provider may not have. The rest are the request's own: too long, filtered, invalid."""


class Candidate(msgspec.Struct, frozen=True):
    """Somebody to ask, and for which model."""

    model: str
    provider: Provider
    breaker: Breaker


class Fallback:
    """``first``, and when it fails before its first token, the ``others`` in order, each for its own model.

    Those whose breaker is not ready come last rather than never: with nobody else left, a request that
    may work is made. A request for another model than that of ``first`` is a wish that the others cannot
    grant; it goes to ``first`` alone.
    """

    def __init__(self, first: Candidate, others: Sequence[Candidate]) -> None:
        self._first = first
        self._others = tuple(others)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        first = self._first
        remaining = [first, *(self._others if request.model == first.model else ())]
        while True:
            candidate = next((each for each in remaining if each.breaker.ready), remaining[0])
            remaining.remove(candidate)
            model = request.model if candidate is first else candidate.model
            silent = True
            try:
                async with aclosing(candidate.provider.stream(msgspec.structs.replace(request, model=model))) as events:
                    async for event in events:
                        if silent and is_token(event):
                            silent = False
                        yield event
                return
            except ProviderError as error:
                if not silent or not remaining or not isinstance(error, CURED_ELSEWHERE):
                    raise
                failed = AttemptFailed(error.with_traceback(None))  # which holds this frame, and the prompt in it
            yield failed
            del failed

    async def aclose(self) -> None:
        """Release ``first``; the others are somebody else's."""
        await self._first.provider.aclose()
