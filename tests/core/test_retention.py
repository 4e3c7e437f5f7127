"""What is kept of streams that have ended, and what is left of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from streamserver.core.retention import Retention
from streamserver.log.memory import MemoryLog
from streamserver.log.records import Start
from tests.support.clock import FakeClock


@dataclass
class Ended:
    log: MemoryLog

    @property
    def id(self) -> str:
        return self.log.stream_id


def ended(stream_id: str) -> Ended:
    return Ended(MemoryLog(Start(stream_id, "request-1", "echo", "echo")))


@pytest.mark.parametrize("how", ["no room", "told to"])
def test_what_has_gone_before_its_time_is_held_by_no_timer(how: str) -> None:
    clock, forgotten, sizes = FakeClock(), list[str](), list[int]()
    retention: Retention[Ended] = Retention(clock, forgotten.append, sizes.append)
    first, second = ended("first"), ended("second")
    retention.keep(first, seconds=60, max_bytes=10_000)
    if how == "told to":
        retention.forget("first")
        retention.keep(second, seconds=60, max_bytes=10_000)
    else:
        retention.keep(second, seconds=60, max_bytes=second.log.size_bytes)
    assert retention.find("first") is None and retention.find("second") is second
    assert clock.pending == 1, "a timer holds what it will forget"
    clock.advance(61)
    assert forgotten == ["first", "second"] and sizes[-1] == retention.size_bytes == 0


def test_each_stream_is_retained_for_its_own_time_under_one_timer() -> None:
    """A reload may have shortened the time: a stream that ended later may have to go earlier."""
    clock, forgotten = FakeClock(), list[str]()
    retention: Retention[Ended] = Retention(clock, forgotten.append, lambda size: None)
    for stream_id, seconds in (("long", 60), ("short", 10), ("next", 20)):
        retention.keep(ended(stream_id), seconds=seconds, max_bytes=10_000)
    assert clock.pending == 1
    clock.advance(9)
    assert forgotten == [] and len(retention) == 3
    clock.advance(2)
    assert forgotten == ["short"] and clock.pending == 1
    retention.forget("next")
    clock.advance(50)
    assert forgotten == ["short", "next", "long"] and clock.pending == 0


def test_failure_to_forget_one_stream_keeps_no_other_for_longer() -> None:
    clock, forgotten = FakeClock(), list[str]()

    def forget(stream_id: str) -> None:
        forgotten.append(stream_id)
        if stream_id == "first":
            raise RuntimeError("the first one")

    retention: Retention[Ended] = Retention(clock, forget, lambda size: None)
    for stream_id in ("first", "second"):
        retention.keep(ended(stream_id), seconds=10, max_bytes=10_000)
    with pytest.raises(RuntimeError, match="the first one"):
        clock.advance(10)
    clock.advance(1)
    assert forgotten == ["first", "second"] and len(retention) == 0
