"""A provider that will not let go keeps its connection, perhaps; not its readers, and not its slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack

import pytest

from providers.base import ChatRequest, Event, Finish, Message, Text
from providers.catalog import ProviderEntry
from providers.resilience import Breaker
from streamserver.admission import Quota
from streamserver.core.caller import Caller, Permissions
from streamserver.core.generation import Outcome
from streamserver.core.stream import PROVIDER_CLOSE_SECONDS, Stream, StreamLimits
from streamserver.core.supervisor import Supervisor
from streamserver.core.task import ChatTask
from streamserver.log.records import Failed
from streamserver.store import MemoryStore
from tests.support.clock import FakeClock, settle

REQUEST = ChatRequest(messages=[Message(role="user", content="hi")], model="m", max_tokens=5)

CALLER = Caller("r", "", "127.0.0.1", Permissions(quota=Quota(9, 9, 9), max_tokens=5))


class Holding:
    """Says one thing, and lets go only when the test says so."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.asked_to = 0
        self.ended = False

    async def aclose(self) -> None:
        pass


class Swallowing(Holding):
    """Takes no notice of being cancelled, and goes on talking."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        yield Text("one")
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                self.asked_to += 1
        try:
            yield Text("late")
            yield Finish("stop")
        finally:
            self.ended = True


class Tidying(Holding):
    """Takes long to clean up."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        yield Text("one")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.asked_to += 1
            await self.let_go.wait()
            self.ended = True


class Scene:
    """A supervisor with room for one stream, and that stream, of a provider that holds on."""

    def __init__(self, provider: Holding) -> None:
        self.provider = provider
        self.clock = FakeClock()
        self.outcomes: list[Outcome] = []
        self.freed = 0
        policy = StreamLimits(
            total=600,
            max_log_bytes=10_000,
            max_streams=1,
            max_readers_per_stream=5,
            attach_seconds=600,
            retention_seconds=600,
            max_total_bytes=10_000,
        )
        self.supervisor = Supervisor(policy, self.clock, MemoryStore(), self.outcomes.append)
        entry = ProviderEntry(
            "holding", "holding", "m", (), False, None, provider, Breaker(self.clock)  # type: ignore[arg-type]
        )  # fmt: skip
        self.task = ChatTask(request=REQUEST, entry=entry, grace_seconds=0)
        self.stream = self.open()

    def open(self) -> Stream:
        with ExitStack() as held:
            held.callback(self._free)
            return self.supervisor.register(self.task, CALLER, held)

    def _free(self) -> None:
        self.freed += 1

    @property
    def code(self) -> str | None:
        terminal = self.stream.log.terminal
        return terminal.code if isinstance(terminal, Failed) else None


@pytest.fixture(params=[Swallowing, Tidying])
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    made = Scene(request.param())
    yield made
    made.provider.let_go.set()
    await settle()
    await made.supervisor.aclose()


async def read_and_leave(scene: Scene) -> None:
    with scene.stream.reading():
        scene.stream.launch()
        await settle()
        assert len(scene.stream.log) == 2
    await settle()
    assert scene.provider.asked_to == 1


def ended_once(scene: Scene) -> None:
    assert scene.code == "cancelled"
    assert scene.supervisor.active == 0
    assert scene.freed == 1
    assert [outcome.stream_id for outcome in scene.outcomes] == [scene.stream.id]


async def test_its_stream_is_ended_when_its_time_to_let_go_is_over(scene: Scene) -> None:
    await read_and_leave(scene)
    await scene.clock.passes(PROVIDER_CLOSE_SECONDS * 0.99)
    assert scene.code is None and scene.freed == 0
    await scene.clock.passes(PROVIDER_CLOSE_SECONDS * 0.02)
    ended_once(scene)
    assert scene.outcomes[0].stuck
    assert scene.outcomes[0].stop_ms is None, "its connection is not closed"
    scene.supervisor.discard(scene.open())  # there is room again


async def test_what_it_says_and_how_it_ends_after_that_changes_nothing(scene: Scene) -> None:
    await read_and_leave(scene)
    await scene.clock.passes(PROVIDER_CLOSE_SECONDS)
    before = scene.stream.log.take(0, 100)
    scene.provider.let_go.set()
    await settle()
    assert scene.provider.ended
    assert scene.stream.log.take(0, 100) == before
    assert scene.stream.task is None, "it is done"
    ended_once(scene)


async def test_who_stops_it_waits_no_longer_than_that(scene: Scene) -> None:
    with scene.stream.reading():
        scene.stream.launch()
        await settle()
        stopping = asyncio.create_task(scene.stream.stop())
        await scene.clock.passes(PROVIDER_CLOSE_SECONDS * 0.99)
        assert not stopping.done()
        await scene.clock.passes(PROVIDER_CLOSE_SECONDS * 0.02)
        assert stopping.done()
        ended_once(scene)
        assert scene.provider.asked_to == 1 and not scene.provider.ended


async def test_who_stops_it_and_leaves_changes_nothing(scene: Scene) -> None:
    with scene.stream.reading():
        scene.stream.launch()
        await settle()
        stopping = asyncio.create_task(scene.stream.stop())
        await settle()
        stopping.cancel()
        await scene.clock.passes(PROVIDER_CLOSE_SECONDS)
        assert stopping.cancelled()
        ended_once(scene)


async def test_a_drain_waits_for_who_still_reads_what_has_ended(scene: Scene) -> None:
    reading = scene.stream.reading()
    reading.__enter__()
    scene.provider.let_go.set()
    await scene.stream.stop()
    assert scene.stream.ended
    draining = asyncio.create_task(scene.supervisor.drain(30))
    await scene.clock.passes(29)
    assert not draining.done()
    reading.__exit__(None, None, None)
    await settle()
    assert draining.done()


async def test_a_drain_takes_its_time_and_then_that(scene: Scene) -> None:
    with scene.stream.reading():
        scene.stream.launch()
        draining = asyncio.create_task(scene.supervisor.drain(30))
        await scene.clock.passes(29.9)
        assert scene.provider.asked_to == 0
        await scene.clock.passes(0.2)
        assert scene.provider.asked_to == 1 and not draining.done()
        await scene.clock.passes(PROVIDER_CLOSE_SECONDS)
        assert draining.done() and scene.code == "shutting_down"


async def test_one_that_lets_go_in_time_ends_its_stream_itself(scene: Scene) -> None:
    await read_and_leave(scene)
    scene.provider.let_go.set()
    await settle()
    assert scene.provider.ended
    assert scene.stream.ended and scene.supervisor.active == 0 and scene.freed == 1
    assert len(scene.outcomes) == 1
    assert scene.outcomes[0].stop_ms is not None and not scene.outcomes[0].stuck
    pending = scene.clock.pending
    await scene.clock.passes(PROVIDER_CLOSE_SECONDS * 2)
    assert len(scene.outcomes) == 1 and pending == 1, "what is left is the timer that forgets it"
