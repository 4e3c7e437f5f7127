"""A provider with deadlines, retries and a circuit breaker."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from contextlib import aclosing

from providers.base import (
    DELTAS,
    Attempt,
    AttemptFailed,
    ChatRequest,
    Event,
    Finish,
    Frame,
    Provider,
    Usage,
    is_token,
)
from providers.clock import Clock
from providers.errors import ProviderError
from providers.resilience.breaker import Breaker
from providers.resilience.deadline import Deadline
from providers.resilience.retry import Retry, ask_once


class Resilient:
    """A provider that is ``provider``, known as ``name``, with deadlines, retries and a ``breaker``.

    The first token must come within ``first_token`` seconds, retries included, and every next one within ``idle``
    seconds. Text, reasoning and tool calls are tokens; a provider's pings, usage and headers are not, so that a
    server which only keeps the connection open is detected.

    All three are in one generator: a token that comes alone passes through each without a warm cache, and three in
    a row cost it as much as parsing its JSON.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        name: str,
        first_token: float,
        idle: float,
        retry: Retry,
        breaker: Breaker,
        clock: Clock,
    ) -> None:
        self._provider = provider
        self._name = name
        self._first_token = first_token
        self._idle = idle
        self._retry = retry
        self._breaker = breaker
        self._clock = clock

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        breaker, retry = self._breaker, self._retry
        with breaker.request(), Deadline(self._clock) as deadline_timer:
            deadline_timer.set("first_token", self._first_token)
            deadline = deadline_timer.when
            for attempts in itertools.count(1):
                deadline_timer.suspended = True
                yield Attempt(self._name, request.model)
                deadline_timer.resume()
                head: list[Event] = []
                try:
                    rest = await ask_once(self._provider, request, head)
                    break
                except ProviderError as error:
                    # An attempt that fails is billed as well.
                    told: list[Event] = [event for event in head if isinstance(event, Usage)]
                    wait = retry.wait_after(error, attempts, deadline)
                    if wait is not None:
                        told.append(AttemptFailed(error.with_traceback(None)))  # it holds the frames, with the prompt
                    for event in told:
                        deadline_timer.suspended = True
                        yield event
                        deadline_timer.resume()
                    if wait is None:
                        raise
                del told, event
                await retry.sleep(wait)
            async with aclosing(rest) as events:
                for event in head:
                    if is_token(event):
                        deadline_timer.set("idle", self._idle)
                        breaker.record_token()
                    if isinstance(event, Finish):
                        breaker.record_success()
                    deadline_timer.suspended = True
                    yield event
                    deadline_timer.resume()
                idle, time = float(self._idle), self._clock.time
                async for event in events:
                    if isinstance(event, DELTAS) or (isinstance(event, Frame) and event.has_delta):
                        deadline_timer.when = time() + idle
                    elif isinstance(event, Finish):
                        breaker.record_success()
                    deadline_timer.suspended = True
                    yield event
                    deadline_timer.suspended = False
                    if deadline_timer.expired:  # a call less for each token
                        deadline_timer.resume()

    async def aclose(self) -> None:
        await self._provider.aclose()
