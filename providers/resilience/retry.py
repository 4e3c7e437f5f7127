"""Retries, before the first token only.

After a token the same request would be paid for twice and the answer would not match, so from then on a failure ends
the stream.

Of tenacity only the strategies are used: when to stop, and how long to wait. Its loop sleeps before it gives control
back, and a failed attempt is reported before the wait; and it costs a twentieth of a request that succeeds at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import tenacity

from providers.answer import BROKEN_OFF
from providers.base import ChatRequest, Event, Provider, is_token
from providers.clock import Clock
from providers.errors import (
    Overloaded,
    ProviderError,
    RateLimited,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamUnavailable,
)

FIRST_WAIT_SECONDS = 0.5
"""The longest first wait; it doubles with each further one."""


class Retry:
    """A retry policy: up to ``attempts`` requests to one provider.

    Between attempts it waits at random up to 0.5 s, 1 s, 2 s … (full jitter: streams that failed together do not come
    back together), at most ``max_wait`` seconds; or as long as the provider said. If that is longer than ``max_wait``,
    or if the wait would pass the deadline of a first token, it raises the provider's error at once.
    """

    def __init__(
        self,
        *,
        attempts: int,
        max_wait: float,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._strategies = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=max_wait),
        )
        self._max_wait = max_wait
        self._clock = clock
        self.sleep = sleep

    def wait_after(self, error: ProviderError, attempts: int, deadline: float) -> float | None:
        """Return the seconds to wait before the next attempt, after ``attempts`` of which the last failed with
        ``error``; None if there is to be no other.

        ``deadline`` is the clock's time by which a first token has to be there.
        """
        strategies = self._strategies
        state = tenacity.RetryCallState(strategies, fn=None, args=(), kwargs={})
        state.attempt_number = attempts
        if strategies.stop(state) or not _may_pass(error):
            return None
        wait = strategies.wait(state) if error.retry_after is None else error.retry_after
        if wait > self._max_wait or self._clock.time() + wait >= deadline:
            return None
        return wait


async def ask_once(provider: Provider, request: ChatRequest, head: list[Event]) -> AsyncGenerator[Event, None]:
    """Ask ``provider``, and add what comes to ``head``, up to the first token or the end. Return the rest, which is the
    caller's to close. A failed answer is closed."""
    events = provider.stream(request)
    try:
        async for event in events:
            head.append(event)
            if is_token(event):
                break
    except BaseException:
        await events.aclose()
        raise
    return events


def _may_pass(error: ProviderError) -> bool:
    """Return whether to send the same request again.

    Only if no byte of an answer came, or if the provider said to come back (408, 409, 429, 5xx, or in a stream that it
    is overloaded, or that it broke off before a token). Narrower than ``retryable``, which is for clients: an answer
    that was cut, or is malformed, has been generated and would be paid for again.
    """
    match error:
        case RateLimited() | Overloaded() | UpstreamUnavailable():
            return True
        case UpstreamDisconnected():
            return error.detail.status is None
        case UpstreamError():
            status = error.detail.status or 0
            return status in (408, 409) or status >= 500 or error.detail.reason == BROKEN_OFF
        case _:
            return False
