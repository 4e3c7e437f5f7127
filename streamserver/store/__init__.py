"""Where streams are known beyond the process that generates them."""

from streamserver.store.base import Claim, Claimed, Local, Readable, Store, StoreLost, StoreUnavailable
from streamserver.store.memory import MemoryStore

__all__ = ["Claim", "Claimed", "Local", "MemoryStore", "Readable", "Store", "StoreLost", "StoreUnavailable"]
