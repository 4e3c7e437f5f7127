"""Who lives, and who reads: judged from what others have told, and only while they could tell it."""

from __future__ import annotations

import pytest

from streamserver.log.memory import MemoryLog
from streamserver.redis.heartbeat import Lives
from streamserver.redis.keys import BEAT_SECONDS, GAP_SECONDS, LEASE_SECONDS
from streamserver.redis.remote_readers import RemoteReaders
from tests.support.nodes import Written
from tests.support.records import START


class OneStream:
    """The streams of a process that generates one."""

    def __init__(self) -> None:
        self.stream = Written(MemoryLog(START))

    def find(self, stream_id: str) -> Written | None:
        return self.stream if stream_id == self.stream.id else None


def looks(lives: Lives, begin: float, seconds: float, beat: bytes) -> list[str]:
    """Look for so long, as often as one does, at a node whose heart does not beat; who is dead then."""
    dead: list[str] = []
    for number in range(round(seconds / BEAT_SECONDS) + 1):
        dead = lives.look({"node": beat}, begin + number * BEAT_SECONDS)
    return dead


def test_who_shows_nothing_while_it_was_watched_is_dead() -> None:
    lives = Lives()
    assert looks(lives, 0, LEASE_SECONDS - BEAT_SECONDS, b"1") == []
    assert looks(lives, LEASE_SECONDS, LEASE_SECONDS, b"1") == ["node"]
    assert lives.look({"node": b"2"}, 2 * LEASE_SECONDS + BEAT_SECONDS) == [], "it beats again"


def test_silence_that_nobody_watched_is_nobodys_death() -> None:
    lives = Lives()
    looks(lives, 0, LEASE_SECONDS / 2, b"1")
    later = LEASE_SECONDS / 2 + GAP_SECONDS + LEASE_SECONDS
    assert lives.look({"node": b"1"}, later) == [], "it may have beaten meanwhile, and Redis been restarted"
    assert looks(lives, later, LEASE_SECONDS + BEAT_SECONDS, b"1") == ["node"], "the lease has begun anew"


@pytest.mark.parametrize("excused", [True, False])
def test_readers_of_a_silent_node_count_no_more_unless_nobody_could_hear_it(excused: bool) -> None:
    local = OneStream()
    audience = RemoteReaders(local)
    audience.change("node", {local.stream.id: 2}, now=0)
    audience.change("other", {local.stream.id: 1}, now=100)
    if excused:
        audience.excuse_silence(100)
    audience.forget_silent(before=50)
    assert local.stream.remote_readers == (3 if excused else 1)
    audience.forget_silent(before=101)
    assert local.stream.remote_readers == 0
