"""A provider with deadlines, retries and a circuit breaker."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from providers.base import DELTAS, ChatRequest, Event, Finish, Frame, Provider, is_token
from providers.clock import Clock
from providers.resilience.breaker import Breaker
from providers.resilience.deadline import Deadline
from providers.resilience.retry import Retry, StartedAnswer


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
        breaker = self._breaker
        deadline = self._clock.time() + self._first_token
        with breaker.request(), Deadline(self._clock) as deadline_timer:
            deadline_timer.set("first_token", self._first_token)
            async with aclosing(self._retry.ask(self._provider, self._name, request, deadline=deadline)) as asking:
                async for step in asking:
                    if isinstance(step, StartedAnswer):
                        break
                    deadline_timer.suspended = True
                    yield step
                    deadline_timer.resume()
            assert isinstance(step, StartedAnswer), "nothing follows it"
            async with aclosing(step.rest) as events:
                for event in step.head:
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
