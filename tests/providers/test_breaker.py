"""A provider that fails again and again is left out for a while, and tried again."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from providers.base import Attempt, Finish, Text
from providers.errors import (
    BY_CODE,
    ContentFilter,
    ContextLength,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    ProviderError,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
)
from providers.resilience.breaker import (
    FAILURES_TO_OPEN,
    FIRST_COOL_DOWN_SECONDS,
    LONGEST_COOL_DOWN_SECONDS,
    Breaker,
)
from tests.providers.asking import ask, request
from tests.providers.fakes import Scripted, answering, failing, resilient
from tests.support.clock import FakeClock


async def fail(breaker: Breaker, error: ProviderError | None = None, times: int = 1) -> None:
    for _ in range(times):
        with contextlib.suppress(ProviderError):
            await ask(resilient(failing(error or UpstreamError()), breaker=breaker))


async def test_breaker_opens_after_three_failures_in_a_row_and_no_sooner() -> None:
    breaker = Breaker(FakeClock())
    await fail(breaker, times=FAILURES_TO_OPEN - 1)
    assert (breaker.state, breaker.ready, breaker.retry_in) == ("closed", True, None)
    await fail(breaker)
    assert (breaker.state, breaker.ready, breaker.retry_in) == ("open", False, FIRST_COOL_DOWN_SECONDS)
    assert breaker.failures == FAILURES_TO_OPEN


async def test_breaker_forgets_failures_when_an_answer_is_complete() -> None:
    breaker = Breaker(FakeClock())
    for _ in range(3):
        await fail(breaker, times=FAILURES_TO_OPEN - 1)
        await ask(resilient(answering("ok"), breaker=breaker))
    assert (breaker.state, breaker.failures) == ("closed", 0)


async def test_breaker_opens_when_answers_break_off_repeatedly() -> None:
    breaker = Breaker(FakeClock())
    broken = resilient(Scripted([[Text("half an"), UpstreamError()]]), breaker=breaker)
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(UpstreamError):
            await ask(broken)
    assert breaker.state == "open"


def error_of(kind: type[ProviderError]) -> ProviderError:
    return UpstreamTimeout("first_token", 1) if kind is UpstreamTimeout else kind()


@pytest.mark.parametrize("kind", BY_CODE.values())
async def test_breaker_counts_only_failures_of_the_provider(kind: type[ProviderError]) -> None:
    breaker = Breaker(FakeClock())
    await fail(breaker, error_of(kind), FAILURES_TO_OPEN)
    innocent = kind in (InvalidRequest, ContextLength, ContentFilter, ModelNotFound)
    assert breaker.state == ("closed" if innocent else "open")


async def test_breaker_is_probed_by_one_request_after_the_cool_down_and_closed_by_its_success() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    await fail(breaker, times=FAILURES_TO_OPEN)
    clock.advance(FIRST_COOL_DOWN_SECONDS - 0.1)
    assert not breaker.ready
    clock.advance(0.1)
    assert (breaker.state, breaker.ready) == ("half_open", True)
    events = resilient(answering("ok"), breaker=breaker).stream(request())
    assert breaker.ready, "nothing was asked yet"
    hanging = asyncio.get_running_loop().create_task(ask(resilient(Scripted([[None]]), breaker=breaker)))
    await asyncio.sleep(0)
    assert not breaker.ready, "one try at a time"
    hanging.cancel()
    await asyncio.wait((hanging,))
    assert breaker.ready, "a try without a verdict leaves it to the next"
    assert [await anext(events), await anext(events)] == [Attempt("x", "m"), Text("ok")]
    assert (breaker.state, breaker.ready) == ("closed", True)
    await events.aclose()
    assert breaker.failures == FAILURES_TO_OPEN, "half an answer forgets nothing"


async def test_breaker_doubles_its_cool_down_when_a_probe_fails() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    await fail(breaker, times=FAILURES_TO_OPEN)
    waits = []
    for _ in range(8):
        waits.append(breaker.retry_in)
        clock.advance(breaker.retry_in or 0)
        assert breaker.state == "half_open"
        await fail(breaker)
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]
    clock.advance(LONGEST_COOL_DOWN_SECONDS)
    await ask(resilient(answering("ok"), breaker=breaker))
    await fail(breaker, times=FAILURES_TO_OPEN)
    assert breaker.retry_in == FIRST_COOL_DOWN_SECONDS


async def test_breaker_opens_once_when_many_requests_fail_together() -> None:
    breaker = Breaker(FakeClock())
    await fail(breaker, times=50)
    assert breaker.retry_in == FIRST_COOL_DOWN_SECONDS


@pytest.mark.parametrize(("retry_after", "seconds"), [(3, 10), (42, 42), (86_400, 300)])
async def test_breaker_stays_open_as_long_as_the_provider_said(retry_after: float, seconds: float) -> None:
    breaker = Breaker(FakeClock())
    await fail(breaker, RateLimited(retry_after=retry_after), FAILURES_TO_OPEN)
    assert breaker.retry_in == seconds


async def test_breaker_forgets_failures_when_an_empty_answer_is_complete() -> None:
    breaker = Breaker(FakeClock())
    await fail(breaker)
    await ask(resilient(Scripted([[Finish("stop")]]), breaker=breaker))
    assert breaker.failures == 0


async def test_breaker_stays_in_its_probe_when_another_request_ends() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    await fail(breaker, times=FAILURES_TO_OPEN)
    clock.advance(FIRST_COOL_DOWN_SECONDS)
    with breaker.request():
        with breaker.request():
            pass
        assert not breaker.ready
    assert breaker.ready


async def test_breaker_changes_no_event_and_no_error() -> None:
    provider = answering("ok")
    watched = resilient(provider)
    assert await ask(watched) == [Attempt("x", "m"), Text("ok"), Finish("stop")]
    with pytest.raises(Overloaded):
        await ask(resilient(failing(Overloaded())))
    await watched.aclose()
    assert provider.closed
