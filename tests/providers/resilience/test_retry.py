"""Retries: what is asked again, how long after, and what never is."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from providers.base import Attempt, AttemptFailed, ChatRequest, Event, Finish, Message, Text, Usage
from providers.errors import (
    ContentFilter,
    ContextLength,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    ProviderAuth,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    UpstreamDetail,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamUnavailable,
)
from tests.providers.asking import ask, request, text_in
from tests.providers.fakes import Scripted, resilient
from tests.support.clock import FakeClock, settle

FINISH = Finish("stop")


def answered(kind: type[ProviderError], status: int) -> ProviderError:
    return kind(detail=UpstreamDetail(status=status))


class Waits:
    """A sleep that lets the clock's time pass, and remembers how much."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._clock.advance(seconds)


class RetryHarness:
    """A resilient provider over a scripted one."""

    def __init__(self, *scripts: list[Event | ProviderError | None], attempts: int = 3, max_wait: float = 8) -> None:
        clock = FakeClock()
        self.waits = Waits(clock)
        self.scripted = Scripted(list(scripts))
        self.provider = resilient(self.scripted, attempts=attempts, max_wait=max_wait, clock=clock, sleep=self.waits)

    @property
    def asked(self) -> int:
        return len(self.scripted.asked)


RETRIED = {
    "no connection": UpstreamUnavailable(sent=False),
    "reset before an answer": UpstreamDisconnected(),
    "408": answered(UpstreamError, 408),
    "409": answered(UpstreamError, 409),
    "429": answered(RateLimited, 429),
    "500": answered(UpstreamError, 500),
    "502": answered(UpstreamError, 502),
    "503": answered(Overloaded, 503),
    "529": answered(Overloaded, 529),
    "overloaded, in the stream": answered(Overloaded, 200),
}

NOT_RETRIED = {
    "no money": answered(QuotaExceeded, 429),
    "401": answered(ProviderAuth, 401),
    "400": answered(InvalidRequest, 400),
    "404": answered(ModelNotFound, 404),
    "too long": answered(ContextLength, 400),
    "filtered": answered(ContentFilter, 400),
    "a redirect": answered(UpstreamError, 302),
    "200 with something else": answered(UpstreamError, 200),
    "bytes that are not HTTP": UpstreamError(),
    "an answer that broke off": answered(UpstreamDisconnected, 200),
}


@pytest.mark.parametrize("error", RETRIED.values(), ids=RETRIED)
async def test_retry_asks_again_when_a_failure_may_pass(error: ProviderError) -> None:
    bench = RetryHarness([error], [Text("a"), FINISH])
    events = await ask(bench.provider)
    assert events == [Attempt("x", "m"), AttemptFailed(error), Attempt("x", "m"), Text("a"), FINISH]
    assert bench.asked == 2 and bench.scripted.open == 0


@pytest.mark.parametrize("error", NOT_RETRIED.values(), ids=NOT_RETRIED)
async def test_retry_raises_at_once_when_a_failure_will_not_pass_or_may_be_billed(error: ProviderError) -> None:
    bench = RetryHarness([error])
    with pytest.raises(type(error)) as failure:
        await ask(bench.provider)
    assert failure.value is error
    assert bench.asked == 1 and bench.waits.seconds == []


async def test_retry_sends_nothing_again_after_the_first_token() -> None:
    bench = RetryHarness([Text("a"), answered(Overloaded, 200)], [Text("b"), FINISH])
    events: list[Event] = []
    with pytest.raises(Overloaded):
        async for event in bench.provider.stream(request()):
            events.append(event)
    assert text_in(events) == "a" and bench.asked == 1


async def test_retry_asks_again_when_only_usage_came() -> None:
    bench = RetryHarness([Usage(7, 1), answered(Overloaded, 200)], [Usage(7, 2), Text("b"), FINISH])
    assert text_in(await ask(bench.provider)) == "b"


async def test_retry_stops_after_its_attempts() -> None:
    errors = [answered(RateLimited, 429) for _ in range(4)]
    bench = RetryHarness([errors[0]], [errors[1]], [errors[2]], [errors[3]], attempts=3)
    with pytest.raises(RateLimited) as failure:
        await ask(bench.provider)
    assert failure.value is errors[2] and bench.asked == 3


async def test_retry_waits_longer_each_time_and_at_random() -> None:
    rounds = []
    for _ in range(200):
        bench = RetryHarness([answered(RateLimited, 429)], attempts=8, max_wait=2)
        with pytest.raises(RateLimited):
            await ask(bench.provider)
        rounds.append(bench.waits.seconds)
    longest = [max(waits) for waits in zip(*rounds, strict=True)]
    assert all(most <= limit for most, limit in zip(longest, (0.5, 1, 2, 2, 2, 2, 2), strict=True))
    assert longest[0] > 0.25 and longest[2] > 1  # 200 draws below half of it: one in 10^60
    assert len({waits[0] for waits in rounds}) > 100


async def test_retry_waits_as_long_as_the_provider_said() -> None:
    bench = RetryHarness([RateLimited(retry_after=3.5, detail=UpstreamDetail(status=429))], [Text("a"), FINISH])
    await ask(bench.provider)
    assert bench.waits.seconds == [3.5]


async def test_retry_raises_at_once_when_the_provider_says_to_wait_longer_than_max_wait() -> None:
    bench = RetryHarness([RateLimited(retry_after=8.1)], max_wait=8)
    with pytest.raises(RateLimited) as failure:
        await ask(bench.provider)
    assert failure.value.retry_after == 8.1 and bench.asked == 1 and bench.waits.seconds == []


async def test_retry_raises_at_once_when_a_wait_would_pass_the_deadline() -> None:
    bench = RetryHarness([RateLimited(retry_after=16)], attempts=9, max_wait=20)
    with pytest.raises(RateLimited):
        await ask(bench.provider)
    assert bench.waits.seconds == [16] and bench.asked == 2


async def test_retry_ends_its_wait_when_it_is_cancelled() -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.get_running_loop().create_future()

    scripted = Scripted([[RateLimited()]])
    provider = resilient(scripted, attempts=3, clock=FakeClock(), sleep=sleep)
    events: list[Event] = []

    async def listen() -> None:
        async for event in provider.stream(request()):
            events.append(event)

    task = asyncio.get_running_loop().create_task(listen())
    await waiting.wait()
    assert [type(event) for event in events] == [Attempt, AttemptFailed], "the failure is told before the wait"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(scripted.asked) == 1 and scripted.open == 0


async def test_retry_leaves_no_generator_to_the_collector_when_it_is_closed_between_attempts() -> None:
    left: list[object] = []
    bench = RetryHarness([RateLimited()], [Text("a"), FINISH])
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(hooks.firstiter, left.append)
    try:
        async with aclosing(bench.provider.stream(request())) as events:
            async for event in events:
                if isinstance(event, AttemptFailed):
                    break
        del events
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert left == []


async def test_retry_closes_the_attempt_when_it_is_cancelled() -> None:
    bench = RetryHarness([None])
    task = asyncio.get_running_loop().create_task(ask(bench.provider))
    await settle()
    assert bench.scripted.open == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.scripted.open == 0 and bench.asked == 1


async def test_retry_closes_the_answer_when_its_reader_leaves() -> None:
    bench = RetryHarness([answered(Overloaded, 529)], [Text("a"), Text("b"), None])
    async with aclosing(bench.provider.stream(request())) as events:
        async for event in events:
            if event == Text("b"):
                break
    assert bench.scripted.open == 0


async def test_retry_raises_at_once_when_a_provider_has_a_bug() -> None:
    class Broken:
        asked = 0

        async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
            self.asked += 1
            raise KeyError
            yield

        async def aclose(self) -> None: ...

    broken = Broken()
    with pytest.raises(KeyError):
        await ask(resilient(broken, attempts=3))
    assert broken.asked == 1


class Failing:
    """A provider that is always overloaded, and keeps nothing of what it was asked."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        raise Overloaded
        yield Text("")

    async def aclose(self) -> None:
        """Do nothing: nothing is held."""


class WatchedRequest(ChatRequest, frozen=True, kw_only=True, weakref=True):
    """A request that can be weakly referenced."""


async def test_retry_holds_no_request_after_its_failure() -> None:
    """Its exception holds its frames, and those the prompt."""
    clock = FakeClock()
    provider = resilient(Failing(), attempts=2, max_wait=0, clock=clock, sleep=Waits(clock))
    asked = WatchedRequest(messages=[Message(role="user", content="secret")], model="m", max_tokens=1)
    watched = weakref.ref(asked)
    gc.disable()
    try:
        with pytest.raises(Overloaded) as caught:
            async for _ in provider.stream(asked):
                pass
        del asked, caught
        assert watched() is None
    finally:
        gc.enable()
