"""A slot is one context manager: whatever fails, and wherever it is cancelled, it is given back once."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.aio.storage.base import Storage

from providers.clock import Clock, LoopClock
from streamserver.admission import Limiter, LimitReached, Quota, memory_limiter
from streamserver.admission.limiter import MemoryCounters
from streamserver.admission.slots import MemorySlots, Release
from streamserver.admission.storage import MemoryStorage
from tests.support.clock import FakeClock

QUOTA = Quota(max_streams=3, requests_per_minute=1_000_000, tokens_per_day=1_000_000)


class Fault(Exception):
    pass


class Faults:
    """Fails, is cancelled, or lets others run, at each await in turn."""

    def __init__(self, plan: list[str]) -> None:
        self._plan = iter(plan)

    async def __call__(self) -> None:
        match next(self._plan, "go on"):
            case "fail":
                raise Fault
            case "cancel":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            case "yield":
                await asyncio.sleep(0)


class FaultySlots(MemorySlots):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    async def take(self, user: str, most: int) -> Release | None:
        await self._faults()
        return await super().take(user, most)


class FaultyStorage(MemoryStorage):
    STORAGE_SCHEME = None

    def __init__(self, clock: Clock, faults: Faults) -> None:
        super().__init__(clock)
        self._faults = faults

    async def get(self, key: str) -> int:
        await self._faults()
        return await super().get(key)

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        await self._faults()
        return await super().acquire_entry(key, limit, expiry, amount)


class FaultyCounters(MemoryCounters):
    def __init__(self, clock: Clock, faults: Faults) -> None:
        super().__init__(clock)
        self.storage: Any = FaultyStorage(clock, faults)
        self.add = self.storage.add
        self.take_back = self.storage.take_back


def test_the_storage_is_one_of_the_library() -> None:
    assert isinstance(MemoryStorage(LoopClock()), Storage)


@given(
    plans=st.lists(
        st.lists(st.sampled_from(["go on", "yield", "fail", "cancel"]), min_size=5, max_size=5), min_size=1, max_size=8
    )
)
def test_with_faults_at_every_await_nothing_stays_taken(plans: list[list[str]]) -> None:
    async def stream(limiter: Limiter, faults: Faults) -> None:
        with ExitStack() as held:
            await limiter.admit("anna", QUOTA, held)
            assert 1 <= limiter.slots.total <= QUOTA.max_streams  # type: ignore[attr-defined]
            await faults()
            generation = held.pop_all()
        try:
            await faults()
        finally:
            generation.close()

    async def run() -> None:
        clock = FakeClock()
        slots = MemorySlots()
        every = []
        for plan in plans:
            faults = Faults(plan)
            limiter = Limiter(FaultySlots(faults), FaultyCounters(clock, faults))
            limiter.slots._taken = slots._taken  # type: ignore[attr-defined]  # they share one count
            every.append(stream(limiter, faults))
        results = await asyncio.gather(*every, return_exceptions=True)
        assert all(r is None or isinstance(r, (Fault, asyncio.CancelledError, LimitReached)) for r in results), results
        assert slots.total == 0

    asyncio.run(run())


async def test_a_slot_more_than_the_most_is_refused_and_a_refusal_counts_as_nothing() -> None:
    limiter = memory_limiter(FakeClock())
    quota = Quota(max_streams=2, requests_per_minute=3, tokens_per_day=0)
    with ExitStack() as held:
        await limiter.admit("anna", quota, held)
        await limiter.admit("anna", quota, held)
        for _ in range(5):
            with pytest.raises(LimitReached) as refused:
                await limiter.admit("anna", quota, held)
            assert (refused.value.limit, refused.value.quota) == ("streams", 2)
        await limiter.admit("bert", quota, held)
    assert limiter.slots.total == 0  # type: ignore[attr-defined]
    with ExitStack() as held:
        await limiter.admit("anna", quota, held)
        with pytest.raises(LimitReached) as refused:
            await limiter.admit("anna", quota, held)
    assert refused.value.limit == "requests"


async def test_starts_are_counted_over_a_sliding_minute_and_retry_after_is_exact() -> None:
    clock = FakeClock()
    limiter = memory_limiter(clock)
    quota = Quota(max_streams=99, requests_per_minute=3, tokens_per_day=0)

    async def start() -> float | None:
        with ExitStack() as held:
            try:
                await limiter.admit("anna", quota, held)
            except LimitReached as reached:
                return reached.retry_after
        return None

    for _ in range(3):
        assert await start() is None
        clock.advance(10)
    assert await start() == pytest.approx(30)
    clock.advance(29.9)
    assert await start() == pytest.approx(0.1)
    clock.advance(0.2)
    assert await start() is None
    assert await start() == pytest.approx(9.9)


async def test_a_start_that_is_taken_back_was_none() -> None:
    limiter = memory_limiter(FakeClock())
    quota = Quota(max_streams=99, requests_per_minute=2, tokens_per_day=0)
    limiter.take_back("anna")
    with ExitStack() as held:
        for _ in range(2):
            await limiter.admit("anna", quota, held)
        for _ in range(2):
            limiter.take_back("anna")
        for _ in range(2):
            await limiter.admit("anna", quota, held)
        with pytest.raises(LimitReached):
            await limiter.admit("anna", quota, held)


async def test_a_limit_that_is_changed_goes_on_from_what_was_used() -> None:
    clock = FakeClock()
    limiter = memory_limiter(clock)
    with ExitStack() as held:
        for starts, tokens in ((4, 100), (3, 99), (2, 98)):
            quota = Quota(max_streams=99, requests_per_minute=starts, tokens_per_day=0)
            for _ in range(4 if starts == 4 else 0):
                await limiter.admit("anna", quota, held)
                clock.advance(10)
            with pytest.raises(LimitReached) as refused:
                await limiter.admit("anna", quota, held)
            assert refused.value.limit == "requests"
            assert refused.value.retry_after == pytest.approx(20 + 10 * (4 - starts)), "when there is room again"
            quota = Quota(max_streams=99, requests_per_minute=99, tokens_per_day=tokens)
            if starts == 4:
                limiter.charge("anna", quota, tokens)
            with pytest.raises(LimitReached) as refused:
                await limiter.admit("anna", quota, held)
            assert refused.value.limit == "tokens"


async def test_tokens_are_counted_over_a_day_from_the_first() -> None:
    clock = FakeClock()
    limiter = memory_limiter(clock)
    quota = Quota(max_streams=99, requests_per_minute=99, tokens_per_day=100)
    with ExitStack() as held:
        await limiter.admit("anna", quota, held)
        limiter.charge("anna", quota, 60)
        clock.advance(3600)
        await limiter.admit("anna", quota, held)
        limiter.charge("anna", quota, 60)
        with pytest.raises(LimitReached) as refused:
            await limiter.admit("anna", quota, held)
        assert refused.value.limit == "tokens"
        assert refused.value.retry_after == pytest.approx(82_800)
        await limiter.admit("bert", quota, held)
        clock.advance(82_801)
        await limiter.admit("anna", quota, held)


async def test_a_hit_costs_the_same_and_memory_is_given_back_however_many_users_there_are() -> None:
    clock = FakeClock()
    storage = MemoryStorage(clock)
    for number in range(10_000):
        await storage.acquire_entry(f"user{number}", 5, 60)
        storage.add(f"user{number}", 86_400, 7)
        clock.advance(0.01)
    assert len(storage) <= 10_000 + 6_001
    clock.advance(86_400)
    await storage.acquire_entry("another", 5, 60)
    await storage.incr("another", 60)
    assert len(storage) == 2
