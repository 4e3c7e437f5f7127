"""The keys in Redis, and how long they live."""

from __future__ import annotations

import hashlib

FENCE = b"18446744073709551615-18446744073709551615"
"""The maximal id of a stream entry (https://redis.io/docs/latest/commands/xadd/). XADD with it succeeds once; later
XADDs fail, which ends the log for its producer too."""

BEAT_SECONDS = 0.25
"""The interval of a process's heartbeats."""
HEARTBEAT_LEASE_SECONDS = 2.25
"""How long a process may be silent before others declare it dead. Longer than the longest reply that a connection
waits for, and two beats."""
GAP_SECONDS = 1.0
"""No node is declared dead for silence during a gap between two observations of heartbeats that is longer than this."""
LOG_LINGER_SECONDS = 2.0
"""How long Redis keeps a log at least after its producer has forgotten it, for readers that still fetch its end."""
RECOVERY_SECONDS = 2.0
"""How long a Redis that lost data may lack what the nodes are about to restore."""
NODE_TTL_MS = 30_000
"""How long Redis keeps the keys of a dead process."""
PROBE_KEY = "streamserver:probe"
"""A key to find out whether Redis accepts writes."""
PROBE_SET_KEY = "streamserver:probe:set"
PROBE_STREAM_KEY = "streamserver:probe:stream"


def log_key(stream_id: str) -> str:
    """Return the key of a stream: its entries hold records (``r``), the first one also its node (``n``) and grace
    (``g``). An entry's id is ``{number of records up to its end}-0``."""
    return f"streamserver:log:{stream_id}"


def claim_key(key: str) -> str:
    """Return the key of a string: ``{stream_id} {fingerprint}``."""
    return f"streamserver:key:{key}"


def name_key(name: str) -> str:
    """Return the key of a string: ``{microseconds since the epoch} {stream_id}``. Names may hold users' data: only
    their hash is stored."""
    return f"streamserver:name:{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}"


def node_key(node: str) -> str:
    """Return the key of a string that changes with every heartbeat."""
    return f"streamserver:node:{node}"


def inbox_key(node: str) -> str:
    """Return the key of a stream: its entries hold messages (``m``)."""
    return f"streamserver:inbox:{node}"
