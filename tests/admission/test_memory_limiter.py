"""The limits of a process alone."""

from __future__ import annotations

import pytest

from streamserver.admission import MemoryLimiter, Quota, QuotaExhausted
from streamserver.core.resources import Resources
from tests.support.clock import FakeClock


async def refused(limiter: MemoryLimiter, quota: Quota, resources: Resources, user: str = "anna") -> QuotaExhausted:
    with pytest.raises(QuotaExhausted) as caught:
        await limiter.admit(user, quota, resources)
    return caught.value


async def test_admit_refuses_one_stream_more_than_the_quota_and_does_not_count_it() -> None:
    limiter = MemoryLimiter(FakeClock())
    quota = Quota(max_streams=2, requests_per_minute=3, tokens_per_day=0)
    with Resources() as resources:
        await limiter.admit("anna", quota, resources)
        await limiter.admit("anna", quota, resources)
        for _ in range(5):
            reached = await refused(limiter, quota, resources)
            assert (reached.limit, reached.quota, reached.window) == ("streams", 2, 0)
        await limiter.admit("bert", quota, resources)
    assert limiter.slots_taken == 0
    with Resources() as resources:
        await limiter.admit("anna", quota, resources)
        assert (await refused(limiter, quota, resources)).limit == "requests"
        assert limiter.slots_taken == 1


async def test_starts_are_counted_over_a_sliding_minute_and_retry_after_is_exact() -> None:
    clock = FakeClock()
    limiter = MemoryLimiter(clock)
    quota = Quota(max_streams=99, requests_per_minute=3, tokens_per_day=0)
    with Resources() as resources:
        for _ in range(3):
            await limiter.admit("anna", quota, resources)
            clock.advance(10)
        assert (await refused(limiter, quota, resources)).retry_after == pytest.approx(30)
        clock.advance(29.9)
        assert (await refused(limiter, quota, resources)).retry_after == pytest.approx(0.1)
        clock.advance(0.2)
        await limiter.admit("anna", quota, resources)
        assert (await refused(limiter, quota, resources)).retry_after == pytest.approx(9.9)


async def test_refund_start_uncounts_the_last_start() -> None:
    limiter = MemoryLimiter(FakeClock())
    quota = Quota(max_streams=99, requests_per_minute=2, tokens_per_day=0)
    limiter.refund_start("anna")
    with Resources() as resources:
        for _ in range(2):
            await limiter.admit("anna", quota, resources)
        for _ in range(2):
            limiter.refund_start("anna")
        for _ in range(2):
            await limiter.admit("anna", quota, resources)
        await refused(limiter, quota, resources)


async def test_a_changed_quota_continues_from_what_was_used() -> None:
    clock = FakeClock()
    limiter = MemoryLimiter(clock)
    with Resources() as resources:
        for starts, tokens in ((4, 100), (3, 99), (2, 98)):
            quota = Quota(max_streams=99, requests_per_minute=starts, tokens_per_day=0)
            for _ in range(4 if starts == 4 else 0):
                await limiter.admit("anna", quota, resources)
                clock.advance(10)
            reached = await refused(limiter, quota, resources)
            assert reached.limit == "requests"
            assert reached.retry_after == pytest.approx(20 + 10 * (4 - starts)), "when another start is possible"
            quota = Quota(max_streams=99, requests_per_minute=99, tokens_per_day=tokens)
            if starts == 4:
                limiter.charge("anna", quota, tokens)
            assert (await refused(limiter, quota, resources)).limit == "tokens"


async def test_tokens_are_counted_over_a_day_from_the_first_one() -> None:
    clock = FakeClock()
    limiter = MemoryLimiter(clock)
    quota = Quota(max_streams=99, requests_per_minute=99, tokens_per_day=100)
    with Resources() as resources:
        await limiter.admit("anna", quota, resources)
        limiter.charge("anna", quota, 60)
        clock.advance(3600)
        await limiter.admit("anna", quota, resources)
        limiter.charge("anna", quota, 60)
        reached = await refused(limiter, quota, resources)
        assert (reached.limit, reached.window) == ("tokens", 86_400)
        assert reached.retry_after == pytest.approx(82_800)
        await limiter.admit("bert", quota, resources)
        clock.advance(82_801)
        await limiter.admit("anna", quota, resources)


async def test_memory_holds_only_what_has_not_expired() -> None:
    clock = FakeClock()
    limiter = MemoryLimiter(clock)
    quota = Quota(max_streams=1, requests_per_minute=5, tokens_per_day=1000)
    for number in range(10_000):
        with Resources() as resources:
            await limiter.admit(f"user{number}", quota, resources)
        limiter.charge(f"user{number}", quota, 7)
        clock.advance(0.01)
    assert limiter.entries <= 10_000 + 6_001
    clock.advance(86_400)
    with Resources() as resources:
        await limiter.admit("another", quota, resources)
        limiter.charge("another", quota, 7)
        assert limiter.entries == 3, "a slot, a start and tokens"
