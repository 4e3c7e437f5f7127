"""Detection of dead nodes from their heartbeats."""

from __future__ import annotations

from collections.abc import Mapping

from streamserver.redis.keys import GAP_SECONDS, LEASE_SECONDS


class FailureDetector:
    """Judges which nodes are dead, from regular looks at their heartbeats in Redis.

    Only silence that was certainly watched counts. A look sees a beat at some moment between the question and the
    reply, so silence lasts from the reply that showed the last beat to the question of the newest look: replies that
    come late, because the way to Redis is slow or this process was busy, prove nothing. After a gap between two
    replies every lease begins anew.
    """

    def __init__(self) -> None:
        self._beats: dict[str, tuple[bytes | None, float]] = {}
        """Node → its last beat, and the time of the reply that showed it first."""
        self._looked = float("-inf")

    def look(self, beats: Mapping[str, bytes | None], *, asked: float, now: float) -> list[str]:
        """Note the last beat of each node, as a question at ``asked`` was answered at ``now``; return the dead.

        A node that stays silent is returned once a lease.
        """
        gap = now - self._looked > GAP_SECONDS
        self._looked = now
        seen: dict[str, tuple[bytes | None, float]] = {}
        for node, beat in beats.items():
            before = self._beats.get(node)
            seen[node] = (beat, now) if gap or before is None or before[0] != beat else before
        self._beats = seen
        dead = [node for node, (_, since) in seen.items() if asked - since > LEASE_SECONDS]
        for node in dead:
            seen[node] = (beats[node], now)
        return dead
