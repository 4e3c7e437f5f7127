"""No store: one process that shares nothing."""

from __future__ import annotations

from streamserver.store.base import Claim, Claimed, Local, Produced, Readable


class MemoryStore:
    """The store of a process that is alone. Only idempotency keys need remembering.

    Nothing here ever waits: looking a key up and claiming it are one step to everybody else.
    """

    def __init__(self) -> None:
        self._claims: dict[str, Claimed] = {}
        self._keys: dict[str, str] = {}
        """Stream → its key."""

    async def start(self, local: Local) -> None:
        pass

    async def publish(self, stream: Produced, claim: Claim | None) -> Claimed | None:
        if claim is None:
            return None
        ours = Claimed(stream.id, claim.fingerprint)
        claimed = self._claims.setdefault(claim.key, ours)
        if claimed is not ours:
            return claimed
        self._keys[stream.id] = claim.key
        return None

    async def find(self, stream_id: str) -> Readable | None:
        return None

    async def recall(self, key: str) -> Claimed | None:
        return self._claims.get(key)

    async def release(self, key: str, claimed: Claimed) -> None:
        if self._claims.get(key) == claimed:
            del self._claims[key]
            self._keys.pop(claimed.stream_id, None)

    def forget(self, stream_id: str) -> None:
        key = self._keys.pop(stream_id, None)
        if key is not None:
            del self._claims[key]

    async def back(self) -> None:
        pass

    async def aclose(self) -> None:
        self._claims.clear()
        self._keys.clear()
