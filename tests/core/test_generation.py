"""One ending, whatever a provider does: generations of providers that break their contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from providers.base import Attempt, AttemptFailed, ChatRequest, Event, Finish, Message, Text, Usage, UsageDetails
from providers.clock import LoopClock
from providers.errors import (
    Overloaded,
    ProviderError,
    RateLimited,
    UpstreamDetail,
    UpstreamDisconnected,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from streamserver.core.generation import Generation, Outcome
from streamserver.log.memory import MemoryLog
from streamserver.log.records import Done, Failed, Start

Script = Callable[[], AsyncGenerator[Event, None]]

REQUEST = ChatRequest(messages=[Message(role="user", content="hello")], model="model", max_tokens=10)


class Scripted:
    """A provider that yields what its script does."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        return self._script()

    async def aclose(self) -> None:
        """Do nothing: nothing is held."""


class GenerationRun:
    """A generation, its log, and the outcomes it told of."""

    def __init__(self, script: Script) -> None:
        self.log = MemoryLog(Start("s" * 22, "request", "provider", "model"), 10_000)
        self.outcomes: list[Outcome] = []
        self.generation = Generation(
            log=self.log,
            provider=Scripted(script),
            request=REQUEST,
            key_name="",
            total=60,
            clock=LoopClock(),
            on_end=self.outcomes.append,
        )

    async def ending(self) -> Done | Failed:
        async with asyncio.timeout(60):
            await self.generation.run()
        (outcome,) = self.outcomes
        assert outcome.terminal is self.log.terminal
        assert self.log.terminal is not None
        return self.log.terminal


async def finishes_then_fails() -> AsyncGenerator[Event, None]:
    yield Attempt("provider", "model")
    yield Text("whole")
    yield Usage(1, 1)
    yield Finish("stop")
    raise ConnectionResetError


async def finishes_then_lingers() -> AsyncGenerator[Event, None]:
    yield Text("whole")
    yield Finish("stop")
    await asyncio.get_running_loop().create_future()


async def finishes_twice() -> AsyncGenerator[Event, None]:
    yield Text("whole")
    yield Finish("stop")
    yield Text("more")
    yield Finish("length")


@pytest.mark.parametrize("script", [finishes_then_fails, finishes_then_lingers, finishes_twice])
async def test_nothing_behind_the_finish_changes_a_whole_answer(script: Script) -> None:
    run = GenerationRun(script)
    ending = await run.ending()
    assert isinstance(ending, Done)
    assert ending.finish_reason == "stop"
    assert [record.text for record in run.log.take(1, 10) if isinstance(record, Text)] == ["whole"]


async def never_finishes() -> AsyncGenerator[Event, None]:
    yield Text("half")


async def yields_nothing() -> AsyncGenerator[Event, None]:
    return
    yield Text("")


async def lets_a_cancel_of_its_own_out() -> AsyncGenerator[Event, None]:
    yield Text("half")
    lost = asyncio.get_running_loop().create_future()
    lost.cancel()
    await lost


async def yields_what_is_no_event() -> AsyncGenerator[Event, None]:
    yield "text"  # type: ignore[misc]


async def is_overloaded() -> AsyncGenerator[Event, None]:
    yield Text("half")
    raise Overloaded(retry_after=3)


@pytest.mark.parametrize(
    ("script", "code", "crashed"),
    [
        (never_finishes, "upstream_disconnected", False),
        (yields_nothing, "upstream_disconnected", False),
        (lets_a_cancel_of_its_own_out, "internal", True),
        (yields_what_is_no_event, "internal", True),
        (is_overloaded, "overloaded", False),
    ],
)
async def test_every_failure_has_one_ending_with_its_code(script: Script, code: str, crashed: bool) -> None:
    run = GenerationRun(script)
    ending = await run.ending()
    assert isinstance(ending, Failed)
    assert ending.code == code
    assert (run.outcomes[0].crash is not None) is crashed


@pytest.mark.parametrize("code", ["cancelled", "shutting_down"])
async def test_a_stop_is_told_by_its_code(code: str) -> None:
    asked = asyncio.Event()

    async def waits() -> AsyncGenerator[Event, None]:
        yield Attempt("provider", "model")
        asked.set()
        await asyncio.get_running_loop().create_future()

    run = GenerationRun(waits)
    task = asyncio.create_task(run.generation.run())
    async with asyncio.timeout(60):
        await asked.wait()
        run.generation.stop(code)
        task.cancel()
        await task
    assert isinstance(run.log.terminal, Failed)
    assert run.log.terminal.code == code


async def is_unreachable() -> AsyncGenerator[Event, None]:
    yield Attempt("provider", "model")
    raise UpstreamUnavailable(sent=False)


CACHED = UsageDetails(cached_tokens=5)


async def is_cut_after_its_prompt_was_counted() -> AsyncGenerator[Event, None]:
    yield Attempt("provider", "model")
    yield Usage(9, 1, CACHED)
    yield Text("half")
    raise UpstreamDisconnected


async def test_failure_has_the_details_of_the_usage_that_came_before_it() -> None:
    ending = await GenerationRun(is_cut_after_its_prompt_was_counted).ending()
    assert isinstance(ending, Failed)
    assert ending.usage_details == CACHED


async def test_what_was_never_sent_has_no_usage() -> None:
    ending = await GenerationRun(is_unreachable).ending()
    assert isinstance(ending, Failed)
    assert ending.usage is None


REFUSED = UpstreamUnavailable(sent=False)
TOLD_TO_WAIT = RateLimited(detail=UpstreamDetail(status=429))


@pytest.mark.parametrize(
    ("error", "asked", "maybe_billed"),
    [(REFUSED, False, False), (TOLD_TO_WAIT, True, False), (UpstreamDisconnected(), True, True)],
    ids=["no connection", "429", "reset before an answer"],
)
@pytest.mark.parametrize("ends", ["stopped", "out of time"])
async def test_a_try_that_failed_has_failed_also_while_the_next_one_is_waited_for(
    error: ProviderError, asked: bool, maybe_billed: bool, ends: str
) -> None:
    waiting = asyncio.Event()

    async def waits() -> AsyncGenerator[Event, None]:
        yield Attempt("provider", "model")
        yield AttemptFailed(error)
        waiting.set()
        if ends == "out of time":
            raise UpstreamTimeout("first_token", 30)
        await asyncio.get_running_loop().create_future()

    run = GenerationRun(waits)
    task = asyncio.create_task(run.generation.run())
    async with asyncio.timeout(60):
        await waiting.wait()
        if ends == "stopped":
            task.cancel()
        await task
    (outcome,) = run.outcomes
    assert (outcome.usage is not None) is asked
    assert outcome.maybe_billed is maybe_billed
    assert [tried.code for tried in outcome.attempts] == [error.code]


@pytest.mark.parametrize("tokens", [0, 1])
async def test_what_broke_off_without_a_word_may_be_billed(tokens: int) -> None:
    async def breaks_off() -> AsyncGenerator[Event, None]:
        yield Attempt("provider", "model")
        for _ in range(tokens):
            yield Text("half")
        raise UpstreamDisconnected

    run = GenerationRun(breaks_off)
    await run.ending()
    assert run.outcomes[0].maybe_billed is (tokens == 0)
