"""A provider that will not let go keeps its connection, perhaps; not its readers, and not its slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from providers.base import ChatRequest, Event, Finish, Message, Text
from providers.catalog import ProviderEntry
from providers.resilience import Breaker
from streamserver.admission import Quota
from streamserver.core.caller import Caller, Permissions
from streamserver.core.generation import Outcome
from streamserver.core.resources import Resources
from streamserver.core.stream import PROVIDER_CLOSE_SECONDS, Stream, StreamLimits
from streamserver.core.supervisor import Supervisor
from streamserver.core.task import ChatTask
from streamserver.log.records import Failed
from streamserver.store import MemoryStore
from tests.support.clock import FakeClock, settle

REQUEST = ChatRequest(messages=[Message(role="user", content="hi")], model="m", max_tokens=5)

CALLER = Caller("r", "", "127.0.0.1", Permissions(quota=Quota(9, 9, 9), max_tokens=5))


class Holding:
    """A provider that says one thing, and lets go only when the test says so."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.asked_to = 0
        self.ended = False

    async def aclose(self) -> None:
        pass


class Swallowing(Holding):
    """A provider that takes no notice of being cancelled, and goes on talking."""

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
    """A provider that takes long to clean up."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        yield Text("one")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.asked_to += 1
            await self.let_go.wait()
            self.ended = True


class Quick(Holding):
    """Answers at once."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        self.asked_to += 1
        yield Text("one")
        yield Finish("stop")


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
        with Resources() as held:
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


async def test_stream_of_a_stuck_provider_is_ended_at_the_deadline(scene: Scene) -> None:
    await read_and_leave(scene)
    await scene.clock.passes(PROVIDER_CLOSE_SECONDS * 0.99)
    assert scene.code is None and scene.freed == 0
    await scene.clock.passes(PROVIDER_CLOSE_SECONDS * 0.02)
    ended_once(scene)
    assert scene.outcomes[0].stuck
    assert scene.outcomes[0].stop_ms is None, "its connection is not closed"
    scene.supervisor.discard(scene.open())  # there is room again


async def test_stuck_provider_changes_nothing_after_its_stream_has_ended(scene: Scene) -> None:
    await read_and_leave(scene)
    await scene.clock.passes(PROVIDER_CLOSE_SECONDS)
    before = scene.stream.log.take(0, 100)
    scene.provider.let_go.set()
    await settle()
    assert scene.provider.ended
    assert scene.stream.log.take(0, 100) == before
    assert scene.stream.task is None, "it is done"
    ended_once(scene)


async def test_stop_waits_no_longer_than_the_provider_may_take_to_close(scene: Scene) -> None:
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


async def test_stop_goes_on_when_its_caller_disconnects(scene: Scene) -> None:
    with scene.stream.reading():
        scene.stream.launch()
        await settle()
        stopping = asyncio.create_task(scene.stream.stop())
        await settle()
        stopping.cancel()
        await scene.clock.passes(PROVIDER_CLOSE_SECONDS)
        assert stopping.cancelled()
        ended_once(scene)


async def test_drain_waits_for_readers_of_ended_streams(scene: Scene) -> None:
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


async def test_drain_takes_its_time_and_then_that_of_the_provider(scene: Scene) -> None:
    with scene.stream.reading():
        scene.stream.launch()
        draining = asyncio.create_task(scene.supervisor.drain(30))
        await scene.clock.passes(29.9)
        assert scene.provider.asked_to == 0
        await scene.clock.passes(0.2)
        assert scene.provider.asked_to == 1 and not draining.done()
        await scene.clock.passes(PROVIDER_CLOSE_SECONDS)
        assert draining.done() and scene.code == "shutting_down"


async def test_provider_that_closes_in_time_ends_its_stream_itself(scene: Scene) -> None:
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


async def test_a_provider_is_asked_once_when_a_reader_leaves_before_the_store_has_taken_the_ending() -> None:
    scene = Scene(Quick())
    log = scene.stream.log
    log.share(lambda: None)
    with scene.stream.reading():
        with scene.stream.reading():
            scene.stream.launch()
            await settle()
            assert log.proposed is not None and log.terminal is None
        scene.stream.launch()
        await settle()
    assert scene.provider.asked_to == 1
    log.accept(log.proposed)
    assert scene.supervisor.active == 0 and len(scene.outcomes) == 1
    await scene.supervisor.aclose()
