"""Counts of readers on other nodes."""

from __future__ import annotations

import pytest

from streamserver.log.memory import MemoryLog
from streamserver.redis.remote_readers import RemoteReaders
from tests.support.nodes import Written
from tests.support.records import START


class OneStream:
    """The streams of a process that generates one."""

    def __init__(self) -> None:
        self.stream = Written(MemoryLog(START))

    def find(self, stream_id: str) -> Written | None:
        return self.stream if stream_id == self.stream.id else None


@pytest.mark.parametrize("excused", [True, False])
def test_readers_of_a_silent_node_stop_counting_unless_no_node_could_be_heard(excused: bool) -> None:
    local = OneStream()
    remote_readers = RemoteReaders(local)
    remote_readers.update("node", {local.stream.id: 2}, now=0)
    remote_readers.update("other", {local.stream.id: 1}, now=100)
    if excused:
        remote_readers.restart_leases(100)
    remote_readers.expire_silent(before=50)
    assert local.stream.remote_readers == (3 if excused else 1)
    remote_readers.expire_silent(before=101)
    assert local.stream.remote_readers == 0
