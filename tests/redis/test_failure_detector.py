"""Detection of dead nodes: only silence that was certainly watched counts."""

from __future__ import annotations

import random

import pytest

from streamserver.redis.connection import REPLY_SECONDS
from streamserver.redis.failure_detector import FailureDetector
from streamserver.redis.keys import BEAT_SECONDS, GAP_SECONDS, HEARTBEAT_LEASE_SECONDS


def looks(detector: FailureDetector, begin: float, seconds: float, beat: bytes, late: float = 0.0) -> list[str]:
    """Observe a node with an unchanged beat for ``seconds``. Return the nodes that were found dead."""
    dead: list[str] = []
    for number in range(round(seconds / BEAT_SECONDS) + 1):
        asked = begin + number * BEAT_SECONDS
        dead += detector.observe({"node": beat}, requested_at=asked, now=asked + late)
    return dead


@pytest.mark.parametrize("late", [0.0, 1.2])
def test_a_node_is_dead_when_its_silence_was_watched_for_a_lease(late: float) -> None:
    detector = FailureDetector()
    watched = HEARTBEAT_LEASE_SECONDS + late - BEAT_SECONDS
    assert looks(detector, 0, watched, b"1", late) == []
    assert looks(detector, watched + BEAT_SECONDS, 3 * BEAT_SECONDS, b"1", late) == ["node"], "and only once"
    later = watched + 5 * BEAT_SECONDS
    assert detector.observe({"node": b"2"}, requested_at=later, now=later) == [], "it beats again"


def test_a_node_is_dead_within_three_seconds_of_its_last_beat() -> None:
    """It dies after a beat that the next look finds. A look after the lease finds no other, and its news is quick."""
    assert BEAT_SECONDS + HEARTBEAT_LEASE_SECONDS + BEAT_SECONDS + 0.1 <= 3
    detector = FailureDetector()
    watched = HEARTBEAT_LEASE_SECONDS + BEAT_SECONDS
    assert looks(detector, BEAT_SECONDS, watched, b"1") == ["node"]


def test_silence_that_was_not_watched_proves_nothing() -> None:
    detector = FailureDetector()
    looks(detector, 0, HEARTBEAT_LEASE_SECONDS / 2, b"1")
    later = HEARTBEAT_LEASE_SECONDS / 2 + GAP_SECONDS + HEARTBEAT_LEASE_SECONDS
    assert detector.observe({"node": b"1"}, requested_at=later, now=later) == [], (
        "Redis may have been restarted meanwhile"
    )
    assert looks(detector, later, HEARTBEAT_LEASE_SECONDS + 2 * BEAT_SECONDS, b"1") == ["node"], (
        "the lease has begun anew"
    )


@pytest.mark.parametrize("seed", range(50))
def test_a_node_that_beats_over_a_slow_way_is_never_dead(seed: int) -> None:
    """Beats, questions and replies each take any time, as long as both nodes' connections put up with it."""
    chance = random.Random(seed)
    detector = FailureDetector()
    arrivals = [number * BEAT_SECONDS + chance.uniform(0, REPLY_SECONDS) for number in range(400)]
    replies: list[tuple[float, float, int]] = []
    answered = 0.0
    for number in range(300):
        asked = number * BEAT_SECONDS
        reached = asked + chance.uniform(0, REPLY_SECONDS / 2)
        answered = max(answered, reached + chance.uniform(0, REPLY_SECONDS / 2))
        last = max((beat for beat, arrived in enumerate(arrivals) if arrived <= reached), default=-1)
        replies.append((asked, answered, max(last, replies[-1][2] if replies else -1)))
    for asked, now, last in replies:
        assert detector.observe({"node": str(last).encode()}, requested_at=asked, now=now) == []


def test_a_lease_is_longer_than_a_reply_may_take() -> None:
    assert HEARTBEAT_LEASE_SECONDS >= REPLY_SECONDS + 2 * BEAT_SECONDS
