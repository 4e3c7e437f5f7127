"""Replicas: copies of other nodes' streams, for as long as they are read here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias
from weakref import WeakValueDictionary

from loguru import logger
from redis.exceptions import ResponseError

from streamserver.core.error_codes import failed
from streamserver.core.refusals import too_many_readers
from streamserver.log.codec import Unreadable, decode
from streamserver.log.memory import MemoryLog
from streamserver.log.records import Done, Failed, Record, Start
from streamserver.redis._redis_py import Entries
from streamserver.redis.connection import Command, SharedConnection
from streamserver.redis.fences import Fences
from streamserver.redis.inbox import Message, Readers, Stop
from streamserver.redis.keys import FENCE, log_key
from streamserver.store.base import StoreLost, StoreUnavailable

PAGE_ENTRIES = 64
FETCHED_AT_ONCE = 100
"""How many streams' new records are fetched at once."""
MAX_CONCURRENT_FINDS = 4
"""How many streams are fetched from their beginning at a time. When a node dies, all its readers reconnect here. If all
their logs were fetched at once, every other command would wait behind them."""
REMOTE_STOP_SECONDS = 6.0
"""How long a stop waits. A producer ends a stream within this time, or is dead and detected."""
STOP_AGAIN_SECONDS = 0.2
VANISHED_SECONDS = 5.0
"""How long a log may be missing in Redis. A producer writes a lost log again within this time, or has forgotten it."""

Post: TypeAlias = Callable[[str, Message], None]


class ReplicaLog(MemoryLog):
    """A copy of a log. Its readers can be disconnected while nothing is known about how it goes on."""

    __slots__ = ("fenced", "is_disconnected")

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self.fenced = False
        """It ended with a fence."""
        self.is_disconnected = False
        """Whether its readers are disconnected, because nothing is known about how the log goes on."""

    def extend(self, entries: Entries) -> None:
        """Add the records of entries of Redis, apart from those that are here already.

        Raises :class:`~streamserver.log.codec.Unreadable`.
        """
        for entry_id, fields in entries:
            records = decode(fields[1])
            if entry_id == FENCE:
                self.fenced = self.terminal is None
                self._add(records)
                continue
            first = int(entry_id.partition(b"-")[0]) - len(records)
            if first > len(self):
                return  # an entry is missing; it will be fetched again
            self._add(records[len(self) - first :])

    def subscribe(self, wake: Callable[[], object]) -> None:
        """Subscribe a reader. Raises :class:`~streamserver.store.base.StoreLost` after :meth:`disconnect_readers`."""
        if self.is_disconnected and self.terminal is None:
            raise StoreLost
        super().subscribe(wake)

    def disconnect_readers(self) -> None:
        """Wake every reader, and raise :class:`~streamserver.store.base.StoreLost` for it, until :meth:`resume`."""
        self.is_disconnected = True
        self._wake()

    def resume(self) -> None:
        self.is_disconnected = False

    def _add(self, records: Sequence[Record]) -> None:
        for record in records:
            if isinstance(record, Done | Failed):
                self.close(record)
            elif not isinstance(record, Start):
                self.append(record)


class RemoteStream:
    """A stream that another process generates."""

    def __init__(self, log: ReplicaLog, node: str, grace_seconds: float, replicas: Replicas) -> None:
        self.id = log.stream_id
        self.log = log
        self.node = node
        """Its producer."""
        self.grace_seconds = grace_seconds
        self.readers = 0
        self.stopping = 0
        self.missing_since: float | None = None
        """Since when Redis has not had it."""
        self._replicas = replicas

    @property
    def ended(self) -> bool:
        return self.log.terminal is not None

    @property
    def watched(self) -> bool:
        """Whether a reader or a stop here waits for the next record."""
        return bool(self.readers or self.stopping) and not self.ended

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count a reader, here and at the producer, for as long as the block runs."""
        if self.readers >= self._replicas.max_readers:
            raise too_many_readers(self._replicas.max_readers)
        self.readers += 1
        self._replicas.report_readers(self)
        try:
            yield
        finally:
            self.readers -= 1
            self._replicas.report_readers(self)

    async def stop(self) -> None:
        """Have the producer end the stream, or detect that the producer is dead."""
        self.stopping += 1
        try:
            async with asyncio.timeout(REMOTE_STOP_SECONDS):
                while not self.ended:
                    self._replicas.post(self.node, Stop(self.id))
                    await self._replicas.refresh([self])
                    await self._next_record()
        except TimeoutError:
            raise StoreUnavailable from None
        finally:
            self.stopping -= 1

    async def _next_record(self) -> None:
        if self.ended:
            return
        grown = asyncio.Event()
        try:
            async with asyncio.timeout(STOP_AGAIN_SECONDS):
                self.log.subscribe(grown.set)
                await grown.wait()
        except StoreLost:
            await asyncio.sleep(STOP_AGAIN_SECONDS)
        except TimeoutError:
            pass
        finally:
            self.log.unsubscribe(grown.set)


class Replicas:
    """The streams of other nodes that are read here: one copy each, for any number of readers.

    The registry holds only weak references: a stream that is not read any more is dropped.
    """

    def __init__(self, connection: SharedConnection, node: str, post: Post, fences: Fences, max_readers: int) -> None:
        self._connection = connection
        self._node = node
        self._fences = fences
        self._streams: WeakValueDictionary[str, RemoteStream] = WeakValueDictionary()
        self._grown: set[str] = set()
        self._work = asyncio.Event()
        self._find_slots = asyncio.Semaphore(MAX_CONCURRENT_FINDS)
        self.post = post
        self.max_readers = max_readers

    def __len__(self) -> int:
        return len(self._streams)

    def watched(self) -> list[RemoteStream]:
        """Return the streams with a local reader that waits for the next record."""
        return [stream for stream in self._streams.values() if stream.watched]

    async def find(self, stream_id: str) -> RemoteStream | None:
        """Return the stream as far as Redis has it, None if it has none. Raises :class:`StoreUnavailable`."""
        async with self._find_slots:
            return await self._find(stream_id)

    async def _find(self, stream_id: str) -> RemoteStream | None:
        known = self._streams.get(stream_id)
        if known is not None:
            await self.refresh([known])
            return known
        (entries,) = await self._connection.submit(_page_command(stream_id, 0))
        if isinstance(entries, ResponseError):
            raise StoreUnavailable
        if not entries:
            return None
        known = self._streams.get(stream_id)  # a concurrent request may have found it meanwhile
        if known is None:
            try:
                known = self._streams[stream_id] = self._stream_from_entries(entries)
            except Unreadable:
                raise StoreUnavailable from None
            self._remember_fence(known)
        await self.refresh([known])
        return None if known.node == self._node and not known.ended else known

    def report_readers(self, stream: RemoteStream) -> None:
        """Report to the producer how many readers the stream has here."""
        if not stream.ended:
            self.post(stream.node, Readers(self._node, {stream.id: stream.readers}))

    def report_all_readers(self) -> None:
        """Report all counts to every producer again, in case a message was lost."""
        counts: dict[str, dict[str, int]] = {}
        for stream in self.watched():
            counts.setdefault(stream.node, {})[stream.id] = stream.readers
        for node, of_node in counts.items():
            self.post(node, Readers(self._node, of_node, all=True))

    def wake(self, streams: Sequence[str]) -> None:
        """Fetch the new records of these streams."""
        self._grown.update(streams)
        self._work.set()

    def wake_all(self) -> None:
        """Fetch the new records of all watched streams."""
        self.wake([stream.id for stream in self.watched()])

    def disconnect_readers(self) -> None:
        """Disconnect the readers of all streams, because the store stays away."""
        for stream in self._streams.values():
            stream.log.disconnect_readers()

    async def run(self) -> None:
        """Fetch new records until cancelled."""
        while True:
            await self._work.wait()
            await self._connection.wait_connected()
            self._work.clear()
            grown, self._grown = self._grown, set()
            try:
                await self.refresh([stream for stream in self.watched() if stream.id in grown])
            except StoreUnavailable:
                self.wake_all()

    async def refresh(self, streams: Sequence[RemoteStream]) -> None:
        """Fetch all new records of these streams. Raises :class:`StoreUnavailable`."""
        behind = list(streams)
        while behind:
            behind = behind[FETCHED_AT_ONCE:] + await self._fetch(behind[:FETCHED_AT_ONCE])

    async def _fetch(self, streams: Sequence[RemoteStream]) -> list[RemoteStream]:
        """Fetch a page of each stream; return those that have more. A log that cannot be read affects no other."""
        streams = [stream for stream in streams if not stream.ended]
        if not streams:
            return []
        pages = await self._connection.submit(*(_page_command(stream.id, len(stream.log)) for stream in streams))
        more = []
        for stream, entries in zip(streams, pages, strict=True):
            if isinstance(entries, ResponseError):
                continue  # the heartbeat triggers the next fetch
            before = len(stream.log)
            self._extend(stream, entries)
            if len(entries) == PAGE_ENTRIES and len(stream.log) > before:
                more.append(stream)
        return more

    def _extend(self, stream: RemoteStream, entries: Entries) -> None:
        """Add entries to a stream. If they cannot be decoded, disconnect its readers: another node may be able to."""
        try:
            stream.log.extend(entries)
        except Unreadable:
            if not stream.log.is_disconnected:
                logger.bind(event="store", stream_id=stream.id[:6]).error("a log of another node cannot be read")
            stream.log.disconnect_readers()
        else:
            stream.log.resume()
            self._remember_fence(stream)

    def _remember_fence(self, stream: RemoteStream) -> None:
        log = stream.log
        if log.fenced and log.terminal is not None:
            self._fences.remember(log.start, log.terminal, stream.node, stream.grace_seconds)

    def check_vanished(self, stream: RemoteStream, exists: bool, now: float) -> None:
        """End a stream if Redis has lacked its log for :data:`VANISHED_SECONDS` although its producer lives.

        The producer does not retain it any more.
        """
        if exists or stream.missing_since is None:
            stream.missing_since = None if exists else now
        elif now - stream.missing_since > VANISHED_SECONDS:
            stream.log.close(failed("stream_expired", request_id=stream.log.start.request_id))

    def reset_missing_since(self) -> None:
        """Restart the measurement of how long logs are missing: none could be restored until now."""
        for stream in self._streams.values():
            stream.missing_since = None

    def _stream_from_entries(self, entries: Entries) -> RemoteStream:
        _, fields = entries[0]
        about = dict(zip(fields[::2], fields[1::2], strict=True))
        start = decode(about.get(b"r", b""))[0]
        if not isinstance(start, Start) or not {b"n", b"g"} <= about.keys():
            raise Unreadable
        log = ReplicaLog(start)
        log.extend(entries)
        return RemoteStream(log, about[b"n"].decode(), float(about[b"g"]), self)


def _page_command(stream_id: str, length: int) -> Command:
    """Return the command that reads what follows the first ``length`` records."""
    return ("XRANGE", log_key(stream_id), f"{length + 1}-0", "+", "COUNT", PAGE_ENTRIES)
