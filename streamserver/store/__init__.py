"""Where streams are known beyond the process that generates them."""

from streamserver.store.base import Claim, ClaimHolder, LocalStreams, ReadableStream, Store, StoreLost, StoreUnavailable
from streamserver.store.memory import MemoryStore

__all__ = [
    "Claim",
    "ClaimHolder",
    "LocalStreams",
    "MemoryStore",
    "ReadableStream",
    "Store",
    "StoreLost",
    "StoreUnavailable",
]
