"""Nodes without HTTP: a store, and the streams of its process."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from streamserver.log.memory import MemoryLog
from streamserver.log.records import Start
from streamserver.store.base import Claim, ClaimHolder, ReadableStream, Store
from tests.support.records import FAILED


class Written:
    """A stream with records that the test writes."""

    grace_seconds = 2.5

    def __init__(self, log: MemoryLog) -> None:
        self.id = log.stream_id
        self.log = log
        self.readers = 0
        self.remote_readers = 0
        self.lost = False

    @property
    def ended(self) -> bool:
        return self.log.terminal is not None

    @contextmanager
    def reading(self) -> Iterator[None]:
        self.readers += 1
        yield
        self.readers -= 1

    async def stop(self) -> None:
        self.log.close(FAILED)

    def set_remote_readers(self, readers: int) -> None:
        self.remote_readers = readers

    def fence(self) -> None:
        self.lost = True
        self.log.close(FAILED)


class Node:
    """A process, as the store sees it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.streams: dict[str, Written] = {}

    async def begin(self) -> Node:
        await self.store.start(_Local(self))
        return self

    def start(self) -> Start:
        return Start(secrets.token_urlsafe(16), "request-1", "echo", "echo")

    async def publish(self, claim: Claim | None = None, names: Sequence[str] = ()) -> MemoryLog:
        """Return a new log that all nodes know."""
        log = MemoryLog(self.start())
        assert await self.try_publish(log, claim, names) is None
        return log

    async def try_publish(self, log: MemoryLog, claim: Claim | None, names: Sequence[str] = ()) -> ClaimHolder | None:
        stream = self.streams[log.stream_id] = Written(log)
        return await self.store.publish(stream, claim, names)

    async def find(self, stream_id: str) -> ReadableStream | None:
        return self.streams.get(stream_id) or await self.store.find(stream_id)

    async def found(self, stream_id: str) -> ReadableStream:
        stream = await self.find(stream_id)
        assert stream is not None
        return stream

    def readers(self, stream_id: str) -> int:
        """Return the number of readers at all nodes."""
        stream = self.streams[stream_id]
        return stream.readers + stream.remote_readers

    def forget(self, stream_id: str) -> None:
        del self.streams[stream_id]
        self.store.forget(stream_id)

    async def settled(self) -> None:
        """Wait until other nodes can read what was written."""


class _Local:
    def __init__(self, node: Node) -> None:
        self._node = node

    def find(self, stream_id: str) -> Written | None:
        return self._node.streams.get(stream_id)
