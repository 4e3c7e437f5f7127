"""Detection of dead nodes from their heartbeats."""

from __future__ import annotations

from collections.abc import Mapping

from streamserver.redis.keys import GAP_SECONDS, HEARTBEAT_LEASE_SECONDS


class FailureDetector:
    """A detector of dead nodes that reads their heartbeats in Redis periodically.

    Only time during which this process could observe heartbeats counts as silence. An observation reads a beat at some
    moment between its request and its reply, so silence lasts from the reply that showed the last beat to the newest
    request. Replies that come late, because the connection to Redis is slow or this process was busy, do not count.
    After a gap between two replies every lease restarts.
    """

    def __init__(self) -> None:
        self._beats: dict[str, tuple[bytes | None, float]] = {}
        """Node → its last beat, and the time of the reply that showed it first."""
        self._observed_at = float("-inf")

    def observe(self, beats: Mapping[str, bytes | None], *, requested_at: float, now: float) -> list[str]:
        """Record the last beat of each node, requested at ``requested_at`` and received at ``now``; return the dead.

        A node that stays silent is returned once a lease.
        """
        gap = now - self._observed_at > GAP_SECONDS
        self._observed_at = now
        seen: dict[str, tuple[bytes | None, float]] = {}
        for node, beat in beats.items():
            before = self._beats.get(node)
            seen[node] = (beat, now) if gap or before is None or before[0] != beat else before
        self._beats = seen
        dead = [node for node, (_, since) in seen.items() if requested_at - since > HEARTBEAT_LEASE_SECONDS]
        for node in dead:
            seen[node] = (beats[node], now)
        return dead
