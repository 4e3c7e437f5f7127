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
