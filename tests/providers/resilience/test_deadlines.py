"""A provider that says nothing is given up, one that is slow but talks is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from providers.base import (
    Attempt,
    AttemptFailed,
    ChatRequest,
    Event,
    Finish,
    Message,
    Reasoning,
    Text,
    ToolCall,
    Usage,
)
from providers.errors import Overloaded, UpstreamTimeout
from providers.resilience import Breaker, Resilient
from streamserver.core.generation import Generation, Outcome
from streamserver.log.memory import MemoryLog
from streamserver.log.records import Failed, Record
from tests.providers.fakes import resilient
from tests.support.clock import FakeClock, settle
from tests.support.records import START

REQUEST = ChatRequest(messages=[Message(role="user", content="hi")], model="m", max_tokens=10)
FIRST_TOKEN, IDLE, TOTAL = 30.0, 10.0, 120.0
ATTEMPT = Attempt("x", "m")


class Scripted:
    """A provider that yields what it is given, when it is given it."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.closed = False

    def say(self, *events: Event | None) -> None:
        """Yield these; None: return."""
        for event in events:
            self._events.put_nowait(event)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        try:
            while (event := await self._events.get()) is not None:
                yield event
        finally:
            self.closed = True

    async def aclose(self) -> None:
        pass


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider() -> Scripted:
    return Scripted()


def guarded(provider: Scripted, clock: FakeClock) -> Resilient:
    return resilient(provider, first_token=FIRST_TOKEN, idle=IDLE, clock=clock)


async def collect(provider: Resilient, seen: list[Event]) -> None:
    async with aclosing(provider.stream(REQUEST)) as events:
        async for event in events:
            seen.append(event)


async def test_stream_times_out_when_no_first_token_comes(provider: Scripted, clock: FakeClock) -> None:
    task = asyncio.create_task(collect(guarded(provider, clock), []))
    await clock.passes(FIRST_TOKEN - 0.01)
    assert not task.done()
    await clock.passes(0.01)
    with pytest.raises(UpstreamTimeout, match="first_token"):
        await asyncio.wait_for(task, 60)
    assert provider.closed


@pytest.mark.parametrize("token", [Text("a"), Reasoning("a"), ToolCall(0, "c", "f", "{}"), Finish("stop")])
async def test_stream_times_out_when_no_further_token_comes(provider: Scripted, clock: FakeClock, token: Event) -> None:
    task = asyncio.create_task(collect(guarded(provider, clock), []))
    await clock.passes(FIRST_TOKEN - 1)
    provider.say(token)
    await clock.passes(IDLE - 0.01)
    assert not task.done()
    await clock.passes(0.01)
    with pytest.raises(UpstreamTimeout, match="idle"):
        await asyncio.wait_for(task, 60)
    assert provider.closed


@pytest.mark.parametrize("noise", [Usage(1, 1), Attempt("p", "m"), AttemptFailed(Overloaded())])
async def test_stream_times_out_when_only_other_events_come(provider: Scripted, clock: FakeClock, noise: Event) -> None:
    seen: list[Event] = []
    task = asyncio.create_task(collect(guarded(provider, clock), seen))
    for _ in range(6):
        provider.say(noise)
        await clock.passes(FIRST_TOKEN / 6)
    assert seen == [ATTEMPT], "what comes before a token is told with it"
    with pytest.raises(UpstreamTimeout, match="first_token"):
        await asyncio.wait_for(task, 60)


async def test_stream_times_out_when_only_other_events_follow_a_token(provider: Scripted, clock: FakeClock) -> None:
    seen: list[Event] = []
    task = asyncio.create_task(collect(guarded(provider, clock), seen))
    provider.say(Text("a"))
    for _ in range(4):
        await clock.passes(IDLE / 4)
        provider.say(Usage(1, 1))
    with pytest.raises(UpstreamTimeout, match="idle"):
        await asyncio.wait_for(task, 60)


@pytest.mark.parametrize("tokens", [0, 1])
async def test_timeout_counts_as_a_failure_of_the_provider(provider: Scripted, clock: FakeClock, tokens: int) -> None:
    breaker = Breaker(clock)
    provider.say(*[Text("a")] * tokens)
    timely = resilient(provider, first_token=FIRST_TOKEN, idle=IDLE, clock=clock, breaker=breaker)
    task = asyncio.create_task(collect(timely, []))
    await clock.passes(FIRST_TOKEN)
    with pytest.raises(UpstreamTimeout):
        await asyncio.wait_for(task, 60)
    assert breaker.failures == 1


async def test_stream_continues_when_tokens_come_slowly(provider: Scripted, clock: FakeClock) -> None:
    seen: list[Event] = []
    task = asyncio.create_task(collect(guarded(provider, clock), seen))
    for _ in range(50):
        provider.say(Text("a"))
        await clock.passes(IDLE - 0.5)
    provider.say(Finish("stop"), None)
    await asyncio.wait_for(task, 60)
    assert len(seen) == 1 + 51
    assert clock.pending == 0


async def test_stream_sets_one_timer_a_period_for_many_tokens(provider: Scripted, clock: FakeClock) -> None:
    task = asyncio.create_task(collect(guarded(provider, clock), []))
    for _ in range(40):
        provider.say(*[Text("a")] * 50)
        await clock.passes(1)
    provider.say(Finish("stop"), None)
    await asyncio.wait_for(task, 60)
    # One for the first token, one for idle, then one for each 10 s of the 40.
    assert clock.armed <= 2 + 40 / IDLE


@pytest.mark.parametrize("taken", [1, 2, 3])
async def test_stream_does_not_cancel_a_slow_consumer(provider: Scripted, clock: FakeClock, taken: int) -> None:
    provider.say(Text("a"), Text("b"), Text("c"))
    async with aclosing(guarded(provider, clock).stream(REQUEST)) as events:
        assert [await anext(events) for _ in range(taken)] == [ATTEMPT, Text("a"), Text("b")][:taken]
        clock.advance(FIRST_TOKEN + IDLE)
        await settle()
        with pytest.raises(UpstreamTimeout, match="first_token" if taken == 1 else "idle"):
            await anext(events)


async def test_stream_closes_the_provider_when_it_is_closed(provider: Scripted, clock: FakeClock) -> None:
    provider.say(Text("a"))
    async with aclosing(guarded(provider, clock).stream(REQUEST)) as events:
        assert [await anext(events), await anext(events)] == [ATTEMPT, Text("a")]
    assert provider.closed
    assert clock.pending == 0


async def test_stream_closes_the_provider_and_stays_cancelled_when_it_is_cancelled(
    provider: Scripted, clock: FakeClock
) -> None:
    task = asyncio.create_task(collect(guarded(provider, clock), []))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 60)
    assert provider.closed
    assert clock.pending == 0


def generation(provider: Resilient, clock: FakeClock, log: MemoryLog, ended: list[Outcome]) -> Generation:
    return Generation(
        log=log, provider=provider, request=REQUEST, key_name="", total=TOTAL, clock=clock, on_end=ended.append
    )


async def test_generation_ends_at_the_total_deadline_when_the_answer_does_not(
    provider: Scripted, clock: FakeClock
) -> None:
    log, ended = MemoryLog(START), list[Outcome]()
    task = asyncio.create_task(generation(guarded(provider, clock), clock, log, ended).run())
    for _ in range(int(TOTAL / 5)):
        assert log.terminal is None
        provider.say(Text("a"))
        await clock.passes(5)
    await asyncio.wait_for(task, 60)
    assert isinstance(log.terminal, Failed)
    assert log.terminal.code == "timeout"
    assert "(total)" in log.terminal.message
    assert provider.closed
    assert [outcome.terminal for outcome in ended] == [log.terminal]
    assert clock.pending == 0


@pytest.mark.parametrize(("tokens", "wait", "name"), [(0, FIRST_TOKEN, "first_token"), (1, IDLE, "idle")])
async def test_generation_names_the_deadline_that_passed(
    provider: Scripted, clock: FakeClock, tokens: int, wait: float, name: str
) -> None:
    log, ended = MemoryLog(START), list[Outcome]()
    provider.say(*[Text("a")] * tokens)
    task = asyncio.create_task(generation(guarded(provider, clock), clock, log, ended).run())
    await clock.passes(wait)
    await asyncio.wait_for(task, 60)
    records: list[Record] = list(log.take(1, 10))
    assert records[:-1] == [Text("a")] * tokens
    assert isinstance(records[-1], Failed)
    assert f"({name})" in records[-1].message
    assert clock.pending == 0


async def test_generation_has_one_ending_when_it_is_stopped_as_a_deadline_passes(
    provider: Scripted, clock: FakeClock
) -> None:
    log, ended = MemoryLog(START), list[Outcome]()
    running = generation(guarded(provider, clock), clock, log, ended)
    task = asyncio.create_task(running.run())
    await settle()
    clock.advance(FIRST_TOKEN)
    running.stop("cancelled")
    task.cancel()
    await asyncio.wait_for(task, 60)
    assert isinstance(log.terminal, Failed)
    assert log.terminal.code == "cancelled"
    assert len(ended) == 1
