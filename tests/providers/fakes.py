"""Providers that do as a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

from providers.base import ChatRequest, Event, Finish, Provider, Text
from providers.clock import Clock, LoopClock
from providers.errors import ProviderError
from providers.resilience import Breaker, Resilient, Retry


@dataclass
class Scripted:
    """A provider that plays one script a request, the last again and again: events, errors, and None to hang."""

    scripts: list[list[Event | ProviderError | None]]
    asked: list[ChatRequest] = field(default_factory=list)
    open: int = 0
    closed: bool = False

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        self.asked.append(request)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        self.open += 1
        try:
            for step in script:
                if step is None:
                    await asyncio.get_running_loop().create_future()
                elif isinstance(step, ProviderError):
                    raise step
                else:
                    yield step
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        self.closed = True


def answering(text: str) -> Scripted:
    return Scripted([[Text(text), Finish("stop")]])


def failing(*errors: ProviderError) -> Scripted:
    return Scripted([[error] for error in errors])


def resilient(
    provider: Provider,
    *,
    name: str = "x",
    clock: Clock | None = None,
    breaker: Breaker | None = None,
    first_token: float = 30,
    idle: float = 10,
    attempts: int = 1,
    max_wait: float = 8,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Resilient:
    """Return ``provider`` with deadlines, retries and a breaker, as the catalog wraps it."""
    clock = clock or LoopClock()
    return Resilient(
        provider,
        name=name,
        first_token=first_token,
        idle=idle,
        retry=Retry(attempts=attempts, max_wait=max_wait, clock=clock, sleep=sleep),
        breaker=breaker or Breaker(clock),
        clock=clock,
    )
