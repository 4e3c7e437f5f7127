"""A deadline cancels what it guards, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from providers.errors import DeadlineName, UpstreamTimeout
from providers.resilience import Deadline
from tests.support.clock import FakeClock, settle


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@contextmanager
def deadline_of(clock: FakeClock, name: DeadlineName, seconds: float) -> Iterator[Deadline]:
    with Deadline(clock) as deadline:
        deadline.set(name, seconds)
        yield deadline


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_deadline_ends_its_block_on_time_and_not_early(clock: FakeClock) -> None:
    async def guarded() -> None:
        with deadline_of(clock, "idle", 5):
            await forever()

    task = asyncio.create_task(guarded())
    await clock.passes(4.999)
    assert not task.done()
    await clock.passes(0.001)
    with pytest.raises(UpstreamTimeout, match=r"stalled for 5 s \(idle\)"):
        await task


async def test_deadline_leaves_no_timer_when_its_block_ends_in_time(clock: FakeClock) -> None:
    with deadline_of(clock, "idle", 5):
        await asyncio.sleep(0)
    assert clock.pending == 0
    clock.advance(100)
    await settle()


async def test_deadline_sets_no_timer_when_it_is_moved_later(clock: FakeClock) -> None:
    async def guarded(tokens: asyncio.Queue[None]) -> None:
        with deadline_of(clock, "idle", 10) as deadline:
            while True:
                await tokens.get()
                deadline.set("idle", 10)

    tokens: asyncio.Queue[None] = asyncio.Queue()
    task = asyncio.create_task(guarded(tokens))
    for _ in range(95):
        await clock.passes(1)
        tokens.put_nowait(None)
    await settle()
    assert not task.done()
    # Once a period of 10 s, for 95 tokens in 95 s.
    assert clock.armed <= 11
    assert clock.pending == 1
    await clock.passes(9.5)
    assert not task.done()
    await clock.passes(0.5)
    with pytest.raises(UpstreamTimeout):
        await task


async def test_deadline_passes_early_when_it_is_moved_earlier(clock: FakeClock) -> None:
    async def guarded() -> None:
        with deadline_of(clock, "first_token", 30) as deadline:
            deadline.set("idle", 2)
            await forever()

    task = asyncio.create_task(guarded())
    await clock.passes(2)
    with pytest.raises(UpstreamTimeout) as caught:
        await task
    assert caught.value.deadline == "idle"
    assert clock.pending == 0


async def test_deadline_keeps_a_cancellation_by_other_code(clock: FakeClock) -> None:
    async def guarded() -> None:
        with deadline_of(clock, "idle", 5):
            await forever()

    task = asyncio.create_task(guarded())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.pending == 0


@pytest.mark.parametrize("first", ["deadline", "outside"])
async def test_deadline_keeps_a_cancellation_that_comes_as_it_passes(clock: FakeClock, first: str) -> None:
    async def guarded() -> None:
        with deadline_of(clock, "idle", 5):
            await forever()

    task = asyncio.create_task(guarded())
    await settle()
    if first == "outside":
        task.cancel()
    clock.advance(5)
    if first == "deadline":
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_deadline_leaves_its_task_uncancelled_after_it_passed(clock: FakeClock) -> None:
    async def guarded(block: Callable[[], Awaitable[None]]) -> int:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises((UpstreamTimeout, ConnectionError)), deadline_of(clock, "idle", 5):
            await block()
        return task.cancelling()

    async def translates() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            raise ConnectionError("cut off in the middle") from None

    for block in (forever, translates):
        task = asyncio.create_task(guarded(block))
        await clock.passes(5)
        assert await task == 0, "an asyncio.timeout() around it would take this for a cancel from outside"


async def test_deadline_raises_nothing_when_its_block_suppresses_the_cancellation(clock: FakeClock) -> None:
    async def guarded() -> int:
        task = asyncio.current_task()
        assert task is not None
        with deadline_of(clock, "idle", 5), suppress(asyncio.CancelledError):
            await forever()
        return task.cancelling()

    task = asyncio.create_task(guarded())
    await clock.passes(5)
    assert await task == 0


async def test_deadline_has_its_own_name_in_the_error_when_it_is_inside_another(clock: FakeClock) -> None:
    async def guarded() -> None:
        with deadline_of(clock, "total", 20), deadline_of(clock, "idle", 5):
            await forever()

    task = asyncio.create_task(guarded())
    await clock.passes(5)
    with pytest.raises(UpstreamTimeout) as caught:
        await task
    assert caught.value.deadline == "idle"


async def test_deadline_passes_through_an_inner_one(clock: FakeClock) -> None:
    async def guarded() -> None:
        with deadline_of(clock, "total", 5), deadline_of(clock, "idle", 20):
            await forever()

    task = asyncio.create_task(guarded())
    await clock.passes(5)
    with pytest.raises(UpstreamTimeout) as caught:
        await task
    assert caught.value.deadline == "total"


async def test_deadlines_raise_one_timeout_when_two_pass_together(clock: FakeClock) -> None:
    async def guarded() -> int:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(UpstreamTimeout), deadline_of(clock, "total", 5), deadline_of(clock, "idle", 5):
            await forever()
        return task.cancelling()

    task = asyncio.create_task(guarded())
    await clock.passes(5)
    assert await task == 0


async def test_deadline_cancels_nothing_while_suspended_and_raises_at_the_next_step(clock: FakeClock) -> None:
    with pytest.raises(UpstreamTimeout), deadline_of(clock, "idle", 5) as deadline:
        deadline.suspended = True
        clock.advance(5)
        await settle()  # other code runs on
        deadline.resume()


async def test_deadline_that_passed_while_suspended_keeps_a_cancellation_by_other_code(clock: FakeClock) -> None:
    async def guarded() -> None:
        with deadline_of(clock, "idle", 5) as deadline:
            deadline.suspended = True
            clock.advance(5)
            await forever()

    task = asyncio.create_task(guarded())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
