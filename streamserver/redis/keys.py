"""What lies where in Redis, and for how long."""

from __future__ import annotations

import hashlib

FENCE = b"18446744073709551615-18446744073709551615"
"""The greatest id of an entry. Redis takes it once and nothing after it: whoever writes a log's end here
has ended it for its producer too."""

BEAT_SECONDS = 0.3
"""How often a process shows that it lives."""
LEASE_SECONDS = 2.1
"""How long a process may show nothing, before others say that it is dead."""
GAP_SECONDS = 1.0
"""Who has not looked for so long cannot say what it would have seen."""
LINGER_SECONDS = 2.0
"""How long Redis keeps a log at least after its producer has forgotten it, for readers that still fetch its end."""
SETTLE_SECONDS = 2.0
"""How long a Redis that lost data may still lack what the nodes are about to write again."""
PRESENCE_MS = 30_000
"""After so long Redis forgets a process that is gone."""


def log_key(stream_id: str) -> str:
    """A stream: its entries hold records (``r``), the first one also its node (``n``) and grace (``g``).
    An entry's id is ``{number of records up to its end}-0``."""
    return f"streamserver:log:{stream_id}"


def claim_key(key: str) -> str:
    """A string: ``{stream_id} {fingerprint}``."""
    return f"streamserver:key:{key}"


def name_key(name: str) -> str:
    """A string: ``{microseconds since the epoch} {stream_id}``. Names may hold users' data: only their hash is kept."""
    return f"streamserver:name:{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}"


def node_key(node: str) -> str:
    """A string that changes with every heartbeat."""
    return f"streamserver:node:{node}"


def inbox_key(node: str) -> str:
    """A stream: its entries hold messages (``m``)."""
    return f"streamserver:inbox:{node}"
