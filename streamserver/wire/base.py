"""What a wire format is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from streamserver.log.records import Failed, Record

MAX_BATCH_BYTES = 64 * 1024
"""The most that one write carries, unless a single record is larger."""


class Encoder(Protocol):
    """Records in, bytes out; the same records always give the same bytes."""

    keepalive: bytes
    """Sent after a silence; ignored by every client, and it moves nobody's position."""

    def encode(self, stream_id: str, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        """The bytes of the first of ``records``, which begin at ``offset``, and how many they are.

        At least one record is encoded, and no more after :data:`MAX_BATCH_BYTES`.
        """
        ...

    def encode_last(self, stream_id: str, failed: Failed) -> bytes:
        """A terminal event that is in no log: of a response that failed by itself."""
        ...
