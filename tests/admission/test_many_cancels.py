"""Slots of many cancelled streams."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

from providers.base import ChatRequest, Event, Message, Text
from providers.catalog import ProviderEntry
from providers.clock import LoopClock
from providers.resilience import Breaker
from streamserver.admission import MemoryLimiter, Quota
from streamserver.core.caller import Caller, Permissions
from streamserver.core.generation import Outcome
from streamserver.core.resources import Resources
from streamserver.core.stream import Stream, StreamLimits
from streamserver.core.supervisor import Supervisor
from streamserver.core.task import ChatTask
from streamserver.store import MemoryStore

CANCELS = 100_000
AT_A_TIME = 500
REQUEST = ChatRequest(messages=[Message(role="user", content="hi")], model="m", max_tokens=5)


class Silent:
    """One token, and then nothing."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        yield Text("one")
        await asyncio.get_running_loop().create_future()

    async def aclose(self) -> None:
        pass


async def test_no_slot_is_taken_after_a_hundred_thousand_cancelled_streams() -> None:
    ended: list[str] = []

    def on_end(outcome: Outcome) -> None:
        ended.append(outcome.terminal.code)  # type: ignore[union-attr]

    clock = LoopClock()
    limiter = MemoryLimiter(clock)
    supervisor = Supervisor(
        StreamLimits(
            total=600,
            max_log_bytes=10_000,
            max_streams=AT_A_TIME,
            max_readers_per_stream=5,
            attach_seconds=600,
            retention_seconds=0,
            max_total_bytes=0,
        ),
        clock,
        MemoryStore(),
        on_end,
    )
    configured = ProviderEntry("silent", "silent", "m", (), False, None, Silent(), Breaker(clock))
    task = ChatTask(request=REQUEST, entry=configured, grace_seconds=0)
    quota = Quota(AT_A_TIME, CANCELS, 0)
    chance = random.Random(7)

    async def open_one() -> Stream:
        with Resources() as resources:
            account = f"user{chance.randrange(20)}"
            await limiter.admit(account, quota, resources)
            return supervisor.register(
                task, Caller("r", "", account, Permissions(quota=quota, max_tokens=5)), resources
            )

    async def read(stream: Stream, turns: int) -> None:
        with stream.reading():
            stream.launch()
            for _ in range(turns):
                await asyncio.sleep(0)

    for _ in range(CANCELS // AT_A_TIME):
        streams = [await open_one() for _ in range(AT_A_TIME)]
        assert limiter.slots_taken == AT_A_TIME
        for stream in streams:
            match chance.randrange(4):
                case 0:  # the reader goes, before anything happened or after
                    await read(stream, chance.randrange(4))
                case 1:  # stopped before it was launched
                    await stream.stop()
                case _:
                    stream.launch()
        await asyncio.gather(*(stream.stop() for stream in streams))
        assert limiter.slots_taken == 0
        assert supervisor.active == 0
    assert len(ended) == CANCELS
    assert set(ended) == {"cancelled"}
    await supervisor.aclose()
