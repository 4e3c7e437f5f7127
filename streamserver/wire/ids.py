"""Public ids: what clients of other wires get, and log, in place of a stream id.

A stream id is a capability: it reads and stops the stream. A public id is derived from it one-way, so that every replay
gives the same one.
"""

from __future__ import annotations

import base64
import hashlib

HASH_LENGTH = 22
"""The length of :func:`public_hash`."""
_CONTEXT = b"streamserver public id\0"


def public_hash(stream_id: str) -> str:
    """Return 128 bits of a hash of ``stream_id``, as 22 characters of base64url."""
    digest = hashlib.sha256(_CONTEXT + stream_id.encode()).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
