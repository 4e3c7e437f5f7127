"""The store's interface: what nodes share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from streamserver.log.base import Log

AWAY_SECONDS = 15.0
"""How long a reader waits for a store that is away, before its connection is closed."""


class StoreUnavailable(Exception):
    """The store does not answer, or refuses. Nothing is known about what was asked, and nothing was promised."""


class StoreLost(ConnectionError):
    """The store stayed away while a reader read from it. The reader's connection is closed without a terminal event, so
    that it comes back."""


class Claim(msgspec.Struct, frozen=True):
    """An idempotency key and a fingerprint of the request that brought it; both are hashes."""

    key: str
    fingerprint: str


class ClaimHolder(msgspec.Struct, frozen=True):
    """The stream that an idempotency key stands for, and the fingerprint of the request that started it."""

    stream_id: str
    fingerprint: str


class ReadableStream(Protocol):
    """A stream, wherever it is generated."""

    @property
    def id(self) -> str: ...

    @property
    def log(self) -> Log: ...

    @property
    def grace_seconds(self) -> float: ...

    @property
    def ended(self) -> bool: ...

    def reading(self) -> AbstractContextManager[None]:
        """Count a reader for as long as the block runs.

        Raises :class:`~streamserver.core.refusals.Refusal` if it has as many readers as it may have.
        """
        ...

    async def stop(self) -> None:
        """End the generation now. When this returns, the terminal record is in the log, and the store has accepted it.

        Raises :class:`StoreUnavailable` if the producer cannot be reached.
        """
        ...


class LocalStream(ReadableStream, Protocol):
    """A stream that this process generates."""

    def set_remote_readers(self, readers: int) -> None:
        """Set how many readers on other nodes read it now."""
        ...

    def fence(self) -> None:
        """End it here too: other nodes have ended it, and told their readers ``producer_lost``."""
        ...


class LocalStreams(Protocol):
    """The streams of this process, as the store sees them."""

    def find(self, stream_id: str) -> LocalStream | None: ...


class Store(Protocol):
    """A store that publishes streams to other nodes, finds theirs, and remembers idempotency keys.

    Guarantees:

    - A published stream can be found by every node, as long as its producer or the store keeps it,
      from its first record to its terminal one; what any reader sees is a prefix of what its producer wrote.
    - Every published stream gets its terminal record, also if its producer dies (``producer_lost``). All readers, at
      all nodes, get the same one. The exception: while the store is away, an ending waits a bounded time and is then
      told to local readers; afterwards the ending that the store has replaces it.
    - Of several requests that publish with the same key at once, one claims it.
    - A name stands for the stream that was bound to it last, for as long as that stream is kept.
    - A producer never waits for the store, but in :meth:`publish`.
    """

    async def start(self, local: LocalStreams) -> None: ...

    async def publish(self, stream: LocalStream, claim: Claim | None, names: Sequence[str] = ()) -> ClaimHolder | None:
        """Make ``stream`` known, before any client is told its id, and bind ``names`` to it in the same step.

        Return None. If the key of ``claim`` is taken, publish nothing, bind nothing, and return its holder.
        Raises :class:`StoreUnavailable`.
        """
        ...

    async def bind(self, name: str, stream_id: str) -> None:
        """Let ``name`` stand for a stream; do nothing if the stream is not kept any more.

        A name may be any text: it is hashed before it leaves the process. Raises :class:`StoreUnavailable`.
        """
        ...

    async def lookup(self, name: str) -> str | None:
        """Return the id of the stream that ``name`` stands for, None without one. Raises :class:`StoreUnavailable`."""
        ...

    async def unbind(self, name: str) -> None:
        """Let ``name`` stand for nothing. Raises :class:`StoreUnavailable`."""
        ...

    async def find(self, stream_id: str) -> ReadableStream | None:
        """Return a stream of another node, None if there is none. Raises :class:`StoreUnavailable`."""
        ...

    async def find_claim(self, key: str) -> ClaimHolder | None:
        """Return the holder of ``key``, None if it is free. Raises :class:`StoreUnavailable`."""
        ...

    async def release_claim(self, key: str, claimed: ClaimHolder) -> None:
        """Free ``key``, if ``claimed`` still holds it. Raises :class:`StoreUnavailable`."""
        ...

    def forget(self, stream_id: str) -> None:
        """Forget a stream that its producer does not retain any more."""
        ...

    def ready(self) -> str | None:
        """Return None if a new stream can be started, else the reason in one line, which holds no secret.

        A shared store is not ready until it has answered once, and while it refuses what a stream needs.
        """
        ...

    async def wait_available(self) -> None:
        """Wait until the store answers, for as long as it takes."""
        ...

    async def aclose(self) -> None:
        """Wait a bounded time until everything has arrived, and disconnect. Local streams must have ended."""
        ...
