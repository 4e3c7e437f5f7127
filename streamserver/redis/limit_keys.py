"""The keys of the limits in Redis, and the clock that their scripts share."""

from __future__ import annotations

LIMITS_PREFIX = "streamserver:limits"

NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + t[2] / 1000 "
"""The first line of a script: ``now`` in milliseconds, by Redis' clock because those of the nodes may differ."""


def slots_key(account: str) -> str:
    """Return the key of a sorted set: leases of slots, scored by when each ends."""
    return f"{LIMITS_PREFIX}:slots:{account}"


def starts_key(account: str) -> str:
    """Return the key of a sorted set: stream starts, scored by when each happened."""
    return f"{LIMITS_PREFIX}:starts:{account}"


def tokens_key(account: str) -> str:
    """Return the key of a number: tokens used since the key was created."""
    return f"{LIMITS_PREFIX}:tokens:{account}"


def writer_key(writer: str) -> str:
    """Return the key of a number: the last write of a process that Redis has carried out."""
    return f"{LIMITS_PREFIX}:writer:{writer}"
