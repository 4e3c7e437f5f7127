"""Trying again, before the first token only.

After a token the same request would be paid for twice and the answer would not match, so
from then on a failure is the stream's end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec
import tenacity

from providers.base import Attempt, AttemptFailed, ChatRequest, Event, Provider, is_token
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
"""The longest first wait; it doubles with every further one."""


class Answer(msgspec.Struct, frozen=True):
    """A provider's: everything up to its first token or its end, and the rest, which is the receiver's to close."""

    head: list[Event]
    rest: AsyncGenerator[Event, None]


class Retry:
    """Asks a provider up to ``attempts`` times.

    Between tries it waits at random up to 0.5 s, 1 s, 2 s … (full jitter: many streams that
    failed together do not come back together), at most ``max_wait`` seconds; or as long as the
    provider said. If that is longer than ``max_wait``, or the wait would pass the deadline of a
    first token, the provider's own error is told at once.
    """

    def __init__(
        self,
        *,
        attempts: int,
        max_wait: float,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._attempts = attempts
        self._max_wait = max_wait
        self._clock = clock
        self._sleep = sleep

    async def ask(
        self, provider: Provider, name: str, request: ChatRequest, *, deadline: float
    ) -> AsyncGenerator[Attempt | AttemptFailed | Answer, None]:
        """Ask ``provider``, known as ``name``: each try, what it failed with if another follows, and the answer.

        ``deadline`` is the clock's time by which a first token has to be there. After the :class:`Answer`, whose
        ``rest`` the caller closes, nothing follows. Raises what the last try failed with.
        """
        yield Attempt(name, request.model)
        failure: ProviderError | None = None
        try:
            answer = await _ask(provider, request)
        except ProviderError as error:
            failure = error.with_traceback(None)
        if failure is not None:
            # tenacity costs a twentieth of a good request, so it is asked only what to do with one that failed.
            retrying = self._retrying(deadline)
            try:
                async for attempt in retrying:
                    again = attempt.retry_state.attempt_number > 1
                    if again:
                        yield AttemptFailed(failure.with_traceback(None))
                        await self._sleep(attempt.retry_state.upcoming_sleep)
                        yield Attempt(name, request.model)
                    with attempt:
                        if not again:
                            raise failure
                        try:
                            answer = await _ask(provider, request)
                        except ProviderError as error:
                            failure = error.with_traceback(None)
                            raise failure from None
            except ProviderError as error:
                # Its traceback leads through frames that hold it in turn, as tenacity's state does: nothing in that
                # ring, and the prompt is in it, would be let go before the next cyclic collection.
                raise error.with_traceback(None) from None
            finally:
                attempt.retry_state.outcome = None
                del failure, retrying, attempt
        yield answer

    def _retrying(self, deadline: float) -> tenacity.AsyncRetrying:
        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=self._wait,
            stop=lambda state: self._must_stop(state, deadline),
            sleep=_not_yet,
            reraise=True,
        )

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = _error(state)
        if error.retry_after is not None:
            return error.retry_after
        longest = FIRST_WAIT_SECONDS * 2.0 ** (state.attempt_number - 1)
        return random.uniform(0, min(longest, self._max_wait))

    def _must_stop(self, state: tenacity.RetryCallState, deadline: float) -> bool:
        return (
            state.attempt_number >= self._attempts
            or state.upcoming_sleep > self._max_wait
            or self._clock.time() + state.upcoming_sleep >= deadline
        )


async def _ask(provider: Provider, request: ChatRequest) -> Answer:
    """Ask once. What fails before its first token is closed."""
    events = provider.stream(request)
    head: list[Event] = []
    try:
        async for event in events:
            head.append(event)
            if is_token(event):
                break
    except BaseException:
        await events.aclose()
        raise
    return Answer(head, events)


async def _not_yet(seconds: float) -> None:
    """Whoever listens hears that a try has failed before the wait for the next; so the wait is not tenacity's."""


def _may_pass(error: BaseException) -> bool:
    """Whether to send the same request again: no byte of an answer came, or the provider itself said to come
    back (408, 409, 429, 5xx, or in a stream that it is overloaded).

    Narrower than ``retryable``, which is for clients: an answer that began and broke off, or makes no sense,
    has been generated and would be paid for again.
    """
    match error:
        case RateLimited() | Overloaded() | UpstreamUnavailable():
            return True
        case UpstreamDisconnected():
            return error.detail.status is None
        case UpstreamError():
            status = error.detail.status or 0
            return status in (408, 409) or status >= 500
        case _:
            return False


def _error(state: tenacity.RetryCallState) -> ProviderError:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert isinstance(error, ProviderError)
    return error
