"""Another provider, before the first token only."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from providers.base import AttemptFailed, ChatRequest, Event, Provider, is_token
from providers.errors import InvalidRequest, ModelNotFound, ProviderError
from providers.resilience.breaker import PROVIDER_FAULTS, Breaker

FALLBACK_ERRORS = (*PROVIDER_FAULTS, ModelNotFound)
"""Failures that another provider may not have. The rest are the request's own: too long, filtered, invalid."""


class Candidate(msgspec.Struct, frozen=True):
    """A provider, the model to ask it for, and its breaker."""

    model: str
    provider: Provider
    breaker: Breaker


class Fallback:
    """A provider that asks ``first`` and, if that fails before its first token, the ``others`` in order.

    One of the others that cannot express the request is left out. Providers with an open breaker come last, not never:
    if all others have failed, a request to them may still succeed. Each is asked for its own model. A request for
    another model than that of ``first`` goes to ``first`` alone: the others do not offer it.
    """

    def __init__(self, first: Candidate, others: Sequence[Candidate]) -> None:
        self._first = first
        self._others = tuple(others)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        first = self._first
        remaining = [first, *(self._others if request.model == first.model else ())]
        failure: ProviderError | None = None
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
                # The caller asked the first for what this one cannot express, and is told what is wrong with that.
                unable = candidate is not first and isinstance(error, InvalidRequest) and not error.sent
                if not unable:
                    failure = error
                fails_elsewhere = not unable and not isinstance(error, FALLBACK_ERRORS)
                if not silent or fails_elsewhere or (not remaining and failure in (None, error)):
                    raise
                failed = AttemptFailed(error.with_traceback(None))  # which holds this frame, and the prompt in it
            yield failed
            del failed
            if not remaining:
                assert failure is not None
                raise failure.with_traceback(None)

    async def aclose(self) -> None:
        """Release ``first``; the others belong to the catalog."""
        await self._first.provider.aclose()
