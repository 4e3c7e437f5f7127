"""Who answers when the default provider does not."""

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
from tests.providers.fakes import Scripted, answering, dependable, failing
from tests.support.clock import FakeClock


class Setting:
    """A default and its fallbacks, each wrapped as the catalog wraps it."""

    def __init__(self, *providers: Scripted) -> None:
        self.clock = FakeClock()
        self.providers = providers
        self.breakers = [Breaker(self.clock) for _ in providers]
        first, *others = (self._candidate(number) for number in range(len(providers)))
        self.fallback = Fallback(first, others)

    def _candidate(self, number: int) -> Candidate:
        provider, breaker = self.providers[number], self.breakers[number]
        wrapped = dependable(provider, name=f"p{number}", clock=self.clock, breaker=breaker, first_token=10, idle=5)
        return Candidate(f"m{number}", wrapped, breaker)

    @property
    def asked(self) -> list[list[str]]:
        return [[asked.model for asked in provider.asked] for provider in self.providers]


def tries(events: list[Event]) -> list[tuple[str, str] | type[ProviderError]]:
    """Who was asked, and what they failed with."""
    said: list[tuple[str, str] | type[ProviderError]] = []
    for event in events:
        if isinstance(event, Attempt):
            said.append((event.provider, event.model))
        elif isinstance(event, AttemptFailed):
            said.append(type(event.error))
    return said


async def test_the_fallbacks_are_asked_in_order_each_for_its_own_model() -> None:
    setting = Setting(failing(Overloaded()), failing(RateLimited()), answering("ok"), answering("never"))
    events = await ask(setting.fallback, request(model="m0"))
    assert events[-2:] == [Text("ok"), Finish("stop")]
    assert tries(events) == [("p0", "m0"), Overloaded, ("p1", "m1"), RateLimited, ("p2", "m2")]
    assert setting.asked == [["m0"], ["m1"], ["m2"], []]


def error_of(kind: type[ProviderError]) -> ProviderError:
    return UpstreamTimeout("first_token", 1) if kind is UpstreamTimeout else kind()


@pytest.mark.parametrize("kind", BY_CODE.values())
async def test_only_what_another_could_cure_is_taken_to_another(kind: type[ProviderError]) -> None:
    setting = Setting(failing(error_of(kind)), answering("ok"))
    if kind in (ContentFilter, ContextLength, InvalidRequest):
        with pytest.raises(kind):
            await ask(setting.fallback, request(model="m0"))
        assert setting.asked[1] == []
    else:
        assert Text("ok") in await ask(setting.fallback, request(model="m0"))


async def test_after_the_first_token_nobody_else_is_asked() -> None:
    setting = Setting(Scripted([[Text("half"), UpstreamDisconnected()]]), answering("never"))
    with pytest.raises(UpstreamDisconnected):
        await ask(setting.fallback, request(model="m0"))
    assert setting.asked[1] == []


async def test_a_request_for_another_model_is_the_defaults_alone() -> None:
    setting = Setting(failing(Overloaded()), answering("never"))
    with pytest.raises(Overloaded):
        await ask(setting.fallback, request(model="special"))
    assert setting.asked == [["special"], []]


async def test_when_all_fail_the_last_ones_error_is_told() -> None:
    setting = Setting(failing(Overloaded()), failing(UpstreamError()))
    with pytest.raises(UpstreamError):
        await ask(setting.fallback, request(model="m0"))


async def test_each_has_a_first_token_deadline_of_its_own() -> None:
    setting = Setting(Scripted([[None]]), Scripted([[None]]))

    async def run() -> list[Event]:
        return await ask(setting.fallback, request(model="m0"))

    loop = asyncio.get_running_loop()
    task = loop.create_task(run())
    for provider in setting.providers:
        async with asyncio.timeout(10):
            while not provider.open:
                await asyncio.sleep(0)
        setting.clock.advance(9.9)
        await asyncio.sleep(0)
        assert provider.open, "its deadline has not passed"
        setting.clock.advance(0.1)
    with pytest.raises(UpstreamTimeout, match="first_token"):
        await task
    assert not any(provider.open for provider in setting.providers)


async def open_first(setting: Setting) -> None:
    for _ in range(3):
        await ask(setting.fallback, request(model="m0"))
    assert setting.breakers[0].state == "open"


async def test_one_that_fails_again_and_again_is_left_out_and_tried_again_later() -> None:
    setting = Setting(failing(*(Overloaded() for _ in range(4))), answering("ok"))
    await open_first(setting)
    await ask(setting.fallback, request(model="m0"))
    assert len(setting.providers[0].asked) == 3, "it is left out"
    setting.clock.advance(10)
    setting.providers[0].scripts = [[Text("back"), Finish("stop")]]
    for _ in range(2):
        assert Text("back") in await ask(setting.fallback, request(model="m0"))
    assert setting.breakers[0].state == "closed"


async def test_one_that_is_left_out_is_asked_when_nobody_else_is_left() -> None:
    setting = Setting(failing(Overloaded()), answering("ok"))
    await open_first(setting)
    setting.providers[0].scripts = [[Text("back"), Finish("stop")]]
    setting.providers[1].scripts = [[Overloaded()]]
    events = await ask(setting.fallback, request(model="m0"))
    assert tries(events) == [("p1", "m1"), Overloaded, ("p0", "m0")]
    assert Text("back") in events
    assert setting.breakers[0].state == "closed"


async def test_without_a_fallback_nobody_is_ever_refused() -> None:
    setting = Setting(failing(Overloaded()))
    for number in range(6):
        with pytest.raises(Overloaded):
            await ask(setting.fallback, request(model="m0"))
        assert len(setting.providers[0].asked) == number + 1
    setting.providers[0].scripts = [[Text("back"), Finish("stop")]]
    assert Text("back") in await ask(setting.fallback, request(model="m0"))


async def test_closing_it_closes_the_one_that_answers_at_once() -> None:
    setting = Setting(failing(Overloaded()), Scripted([[Text("a"), None]]))
    async with aclosing(setting.fallback.stream(request(model="m0"))) as events:
        async for event in events:
            if event == Text("a"):
                break
        assert setting.providers[1].open
    assert not setting.providers[1].open


async def test_it_releases_the_default_and_leaves_the_others_to_their_owner() -> None:
    setting = Setting(answering("a"), answering("b"))
    await setting.fallback.aclose()
    assert [provider.closed for provider in setting.providers] == [True, False]
