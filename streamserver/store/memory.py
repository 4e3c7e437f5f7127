"""The store of a single process, which shares nothing."""

from __future__ import annotations

from collections.abc import Sequence

from streamserver.store.base import Claim, ClaimHolder, LocalStream, LocalStreams, ReadableStream


class MemoryStore:
    """A store in this process's memory: it remembers idempotency keys and names.

    No method waits, so that looking a key up and claiming it are one step for all other tasks.
    """

    def __init__(self) -> None:
        self._local: LocalStreams | None = None
        self._claims: dict[str, ClaimHolder] = {}
        self._keys: dict[str, str] = {}
        """Stream id → the idempotency key that it claimed."""
        self._names: dict[str, str] = {}
        self._names_of: dict[str, set[str]] = {}
        """Stream id → the names that stand for it."""

    async def start(self, local: LocalStreams) -> None:
        self._local = local

    async def publish(self, stream: LocalStream, claim: Claim | None, names: Sequence[str] = ()) -> ClaimHolder | None:
        if claim is not None:
            ours = ClaimHolder(stream.id, claim.fingerprint)
            claimed = self._claims.setdefault(claim.key, ours)
            if claimed is not ours:
                return claimed
            self._keys[stream.id] = claim.key
        for name in names:
            self._bind(name, stream.id)
        return None

    async def find(self, stream_id: str) -> ReadableStream | None:
        return None

    async def find_claim(self, key: str) -> ClaimHolder | None:
        return self._claims.get(key)

    async def release_claim(self, key: str, claimed: ClaimHolder) -> None:
        if self._claims.get(key) == claimed:
            del self._claims[key]
            self._keys.pop(claimed.stream_id, None)

    async def bind(self, name: str, stream_id: str) -> None:
        if self._local is not None and self._local.find(stream_id) is not None:
            self._bind(name, stream_id)

    async def lookup(self, name: str) -> str | None:
        return self._names.get(name)

    async def unbind(self, name: str) -> None:
        stream_id = self._names.pop(name, None)
        if stream_id is not None:
            self._names_of[stream_id].discard(name)

    def forget(self, stream_id: str) -> None:
        key = self._keys.pop(stream_id, None)
        if key is not None:
            del self._claims[key]
        for name in self._names_of.pop(stream_id, ()):
            del self._names[name]

    def ready(self) -> str | None:
        return None

    async def wait_available(self) -> None:
        pass

    async def aclose(self) -> None:
        for index in (self._claims, self._keys, self._names, self._names_of):
            index.clear()

    def _bind(self, name: str, stream_id: str) -> None:
        before = self._names.get(name)
        if before is not None:
            self._names_of[before].discard(name)
        self._names[name] = stream_id
        self._names_of.setdefault(stream_id, set()).add(name)
