"""What the limits are called in Redis, and what its time is."""

from __future__ import annotations

PREFIX = "streamserver:limits"

NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + t[2] / 1000 "
"""A script begins so: ``now`` in milliseconds. Time is Redis' own: the nodes' clocks may differ."""
