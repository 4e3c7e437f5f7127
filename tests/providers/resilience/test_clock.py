"""The clock of a running loop: all timers over one of the loop's."""

from __future__ import annotations

import asyncio
import random
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.clock import MANY_CANCELLED, LoopClock, Timer


async def test_clock_calls_timers_in_order_and_not_early() -> None:
    clock = LoopClock()
    fired: list[tuple[int, bool]] = []
    all_fired = asyncio.Event()
    began = clock.time()

    def fire(number: int, due: float) -> None:
        fired.append((number, clock.time() >= due))
        if len(fired) == 4:
            all_fired.set()

    for number in (3, 1, 0, 2):
        due = began + 0.01 * number
        clock.call_at(due, lambda number=number, due=due: fire(number, due))  # type: ignore[misc]
    async with asyncio.timeout(60):
        await all_fired.wait()
    assert fired == [(0, True), (1, True), (2, True), (3, True)]


async def test_timer_neither_fires_nor_holds_its_callback_when_it_is_cancelled() -> None:
    clock = LoopClock()
    fired = asyncio.Event()
    clock.call_at(clock.time(), lambda: None).cancel()
    doomed = clock.call_at(clock.time(), lambda: asyncio.get_running_loop().stop())
    clock.call_at(clock.time() + 0.01, fired.set)
    doomed.cancel()
    doomed.cancel()
    async with asyncio.timeout(60):
        await fired.wait()


async def test_clock_wakes_up_once_for_all_cancelled_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most timers of a stream are cancelled long before they are due; an idle server would go on waking up for them."""
    clock = LoopClock()
    fired = asyncio.Event()
    began = clock.time()
    for timer in [clock.call_at(began + 0.001 * number, lambda: None) for number in range(MANY_CANCELLED)]:
        timer.cancel()
    clock.call_at(began + 0.001 * (MANY_CANCELLED + 1), fired.set)
    alarms = Mock(wraps=clock._arm)
    monkeypatch.setattr(clock, "_arm", alarms)
    async with asyncio.timeout(60):
        await fired.wait()
    assert alarms.call_count <= 1


async def test_clock_calls_other_timers_when_one_fails() -> None:
    clock = LoopClock()
    fired = asyncio.Event()
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
    clock.call_at(clock.time(), lambda: 1 / 0)
    clock.call_at(clock.time(), fired.set)
    async with asyncio.timeout(60):
        await fired.wait()
    assert len(said) == 1


async def test_clock_delays_no_timer_when_a_timer_sets_another() -> None:
    clock = LoopClock()
    fired: list[str] = []
    done = asyncio.Event()
    began = clock.time()

    def first() -> None:
        fired.append("first")
        clock.call_at(began + 3600, lambda: None)

    clock.call_at(began, first)

    def second() -> None:
        fired.append("second")
        done.set()

    clock.call_at(began + 0.02, second)
    async with asyncio.timeout(60):
        await done.wait()
    assert fired == ["first", "second"]


async def test_clock_sets_its_alarm_no_later_than_the_earliest_timer() -> None:
    """However timers are set and cancelled, by others too, the earliest one is what the loop is told."""
    randomness = random.Random(1)
    clock = LoopClock()
    left = 300
    done = asyncio.Event()
    timers: list[Timer] = []

    def act() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            done.set()
            return
        for _ in range(randomness.randint(1, 3)):
            timers.append(clock.call_at(clock.time() + randomness.choice((0, 0.001, 0.01, 3600)), act))
        if timers and randomness.random() < 0.3:
            timers.pop(randomness.randrange(len(timers))).cancel()

    for _ in range(20):
        timers.append(clock.call_at(clock.time() + randomness.choice((0, 0.001)), act))
    async with asyncio.timeout(60):
        await done.wait()


def test_clock_works_when_another_loop_runs() -> None:
    clock = LoopClock()

    async def forsake() -> None:
        clock.call_at(clock.time() + 3600, lambda: None)

    async def use() -> None:
        fired = asyncio.Event()
        clock.call_at(clock.time(), fired.set)
        async with asyncio.timeout(60):
            await fired.wait()

    asyncio.run(forsake())
    asyncio.run(use())


@given(st.lists(st.booleans(), max_size=1000))
def test_clock_removes_cancelled_timers_when_they_are_many(cancelled: list[bool]) -> None:
    async def pile() -> None:
        clock = LoopClock()
        later = clock.time() + 3600
        for cancel in cancelled:
            timer = clock.call_at(later, lambda: None)
            if cancel:
                timer.cancel()
        alive = cancelled.count(False)
        assert alive <= len(clock._heap) <= 2 * alive + MANY_CANCELLED + 1

    asyncio.run(pile())
