"""The provider that answers when the default does not."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from providers.base import Attempt, AttemptFailed, Event, Finish, Text
from providers.errors import (
    BY_CODE,
    ContentFilter,
    ContextLength,
    InvalidRequest,
    Overloaded,
    ProviderError,
    RateLimited,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamTimeout,
)
from providers.resilience import Breaker, Candidate, Fallback
from tests.providers.asking import ask, request
from tests.providers.fakes import Scripted, answering, failing, resilient
from tests.support.clock import FakeClock


class FallbackSetup:
    """A default and its fallbacks, each wrapped as the catalog wraps it."""

    def __init__(self, *providers: Scripted) -> None:
        self.clock = FakeClock()
        self.providers = providers
        self.breakers = [Breaker(self.clock) for _ in providers]
        first, *others = (self._candidate(number) for number in range(len(providers)))
        self.fallback = Fallback(first, others)

    def _candidate(self, number: int) -> Candidate:
        provider, breaker = self.providers[number], self.breakers[number]
        wrapped = resilient(provider, name=f"p{number}", clock=self.clock, breaker=breaker, first_token=10, idle=5)
        return Candidate(f"m{number}", wrapped, breaker)

    @property
    def asked(self) -> list[list[str]]:
        return [[asked.model for asked in provider.asked] for provider in self.providers]


def tries(events: list[Event]) -> list[tuple[str, str] | type[ProviderError]]:
    """Return the providers that were asked, and what they failed with."""
    said: list[tuple[str, str] | type[ProviderError]] = []
    for event in events:
        if isinstance(event, Attempt):
            said.append((event.provider, event.model))
        elif isinstance(event, AttemptFailed):
            said.append(type(event.error))
    return said


async def test_fallback_asks_the_others_in_order_each_for_its_own_model() -> None:
    setting = FallbackSetup(failing(Overloaded()), failing(RateLimited()), answering("ok"), answering("never"))
    events = await ask(setting.fallback, request(model="m0"))
    assert events[-2:] == [Text("ok"), Finish("stop")]
    assert tries(events) == [("p0", "m0"), Overloaded, ("p1", "m1"), RateLimited, ("p2", "m2")]
    assert setting.asked == [["m0"], ["m1"], ["m2"], []]


def error_of(kind: type[ProviderError]) -> ProviderError:
    return UpstreamTimeout("first_token", 1) if kind is UpstreamTimeout else kind()


@pytest.mark.parametrize("kind", BY_CODE.values())
async def test_fallback_asks_another_only_when_it_may_not_have_the_failure(kind: type[ProviderError]) -> None:
    setting = FallbackSetup(failing(error_of(kind)), answering("ok"))
    if kind in (ContentFilter, ContextLength, InvalidRequest):
        with pytest.raises(kind):
            await ask(setting.fallback, request(model="m0"))
        assert setting.asked[1] == []
    else:
        assert Text("ok") in await ask(setting.fallback, request(model="m0"))


async def test_fallback_asks_no_other_after_the_first_token() -> None:
    setting = FallbackSetup(Scripted([[Text("half"), UpstreamDisconnected()]]), answering("never"))
    with pytest.raises(UpstreamDisconnected):
        await ask(setting.fallback, request(model="m0"))
    assert setting.asked[1] == []


async def test_fallback_asks_only_the_default_when_another_model_is_requested() -> None:
    setting = FallbackSetup(failing(Overloaded()), answering("never"))
    with pytest.raises(Overloaded):
        await ask(setting.fallback, request(model="special"))
    assert setting.asked == [["special"], []]


async def test_fallback_raises_the_last_error_when_all_fail() -> None:
    setting = FallbackSetup(failing(Overloaded()), failing(UpstreamError()))
    with pytest.raises(UpstreamError):
        await ask(setting.fallback, request(model="m0"))


def unable() -> Scripted:
    """Return a provider that cannot express the request, and sends nothing."""
    return failing(InvalidRequest("n: this provider has no such parameter.", sent=False))


async def test_fallback_that_cannot_express_the_request_is_left_out() -> None:
    setting = FallbackSetup(failing(Overloaded()), unable(), answering("ok"))
    events = await ask(setting.fallback, request(model="m0"))
    assert events[-2:] == [Text("ok"), Finish("stop")]
    assert tries(events) == [("p0", "m0"), Overloaded, ("p1", "m1"), InvalidRequest, ("p2", "m2")]


async def test_failure_is_the_providers_when_no_fallback_can_express_the_request() -> None:
    setting = FallbackSetup(failing(RateLimited(retry_after=7)), unable(), unable())
    with pytest.raises(RateLimited) as raised:
        await ask(setting.fallback, request(model="m0"))
    assert raised.value.retry_after == 7


async def test_default_is_asked_though_a_fallback_before_it_cannot_express_the_request() -> None:
    setting = FallbackSetup(answering("ok"), unable())
    for _ in range(10):
        setting.breakers[0].record_failure(Overloaded())
    assert not setting.breakers[0].ready
    assert Text("ok") in await ask(setting.fallback, request(model="m0"))


async def test_fallback_gives_each_provider_its_own_first_token_deadline() -> None:
    setting = FallbackSetup(Scripted([[None]]), Scripted([[None]]))

    async def run() -> list[Event]:
        return await ask(setting.fallback, request(model="m0"))

    loop = asyncio.get_running_loop()
    task = loop.create_task(run())
    for provider in setting.providers:
        async with asyncio.timeout(60):
            while not provider.open:
                await asyncio.sleep(0)
        setting.clock.advance(9.9)
        await asyncio.sleep(0)
        assert provider.open, "its deadline has not passed"
        setting.clock.advance(0.1)
    with pytest.raises(UpstreamTimeout, match="first_token"):
        await task
    assert not any(provider.open for provider in setting.providers)


async def open_first(setting: FallbackSetup) -> None:
    for _ in range(3):
        await ask(setting.fallback, request(model="m0"))
    assert setting.breakers[0].state == "open"


async def test_fallback_leaves_out_a_provider_that_fails_repeatedly_and_tries_it_later() -> None:
    setting = FallbackSetup(failing(*(Overloaded() for _ in range(4))), answering("ok"))
    await open_first(setting)
    await ask(setting.fallback, request(model="m0"))
    assert len(setting.providers[0].asked) == 3, "it is left out"
    setting.clock.advance(10)
    setting.providers[0].scripts = [[Text("back"), Finish("stop")]]
    for _ in range(2):
        assert Text("back") in await ask(setting.fallback, request(model="m0"))
    assert setting.breakers[0].state == "closed"


async def test_fallback_asks_a_provider_that_is_left_out_when_no_other_remains() -> None:
    setting = FallbackSetup(failing(Overloaded()), answering("ok"))
    await open_first(setting)
    setting.providers[0].scripts = [[Text("back"), Finish("stop")]]
    setting.providers[1].scripts = [[Overloaded()]]
    events = await ask(setting.fallback, request(model="m0"))
    assert tries(events) == [("p1", "m1"), Overloaded, ("p0", "m0")]
    assert Text("back") in events
    assert setting.breakers[0].state == "closed"


async def test_provider_without_a_fallback_is_asked_when_its_breaker_is_open() -> None:
    setting = FallbackSetup(failing(Overloaded()))
    for number in range(6):
        with pytest.raises(Overloaded):
            await ask(setting.fallback, request(model="m0"))
        assert len(setting.providers[0].asked) == number + 1
    setting.providers[0].scripts = [[Text("back"), Finish("stop")]]
    assert Text("back") in await ask(setting.fallback, request(model="m0"))


async def test_fallback_closes_the_answering_provider_when_it_is_closed() -> None:
    setting = FallbackSetup(failing(Overloaded()), Scripted([[Text("a"), None]]))
    async with aclosing(setting.fallback.stream(request(model="m0"))) as events:
        async for event in events:
            if event == Text("a"):
                break
        assert setting.providers[1].open
    assert not setting.providers[1].open


async def test_fallback_releases_only_the_default() -> None:
    setting = FallbackSetup(answering("a"), answering("b"))
    await setting.fallback.aclose()
    assert [provider.closed for provider in setting.providers] == [True, False]
