"""The store over Redis, made from its parts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from loguru import logger
from redis.exceptions import ResponseError

from streamserver.core.error_codes import failed
from streamserver.log.codec import encode
from streamserver.redis.connection import Command, ConnectionFactory, Packed, Replies, SharedConnection
from streamserver.redis.fences import Fences
from streamserver.redis.heartbeat import Heartbeat
from streamserver.redis.inbox import Grown, Inbox, Message, Readers, Stop, inbox_exists_command, message_command
from streamserver.redis.jobs import run_forever
from streamserver.redis.keys import (
    FENCE,
    LOG_LINGER_SECONDS,
    RECOVERY_SECONDS,
    claim_key,
    inbox_key,
    log_key,
    name_key,
    node_key,
)
from streamserver.redis.outbox import Outbox
from streamserver.redis.publication import Publication, bind_command, claim_value, lookup_command, parse_claim
from streamserver.redis.readiness import PERMISSION_PROBES, Readiness
from streamserver.redis.remote_readers import RemoteReaders
from streamserver.redis.replicas import Replicas
from streamserver.redis.replicator import LogTTL, Replicator
from streamserver.store.base import Claim, ClaimHolder, LocalStream, LocalStreams, ReadableStream, StoreUnavailable

STORE_START_SECONDS = 5.0
"""How long a start waits for Redis before the server starts without it."""
LOG_FLUSH_SECONDS = 3.0
"""How long :meth:`RedisStore.aclose` waits for what is still to be written."""

RECOVERY_POLL_SECONDS = 0.1

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisStore:
    """A store in Redis; see :class:`~streamserver.store.base.Store`."""

    def __init__(self, url: str, *, ttl: LogTTL, max_readers: int, ending_wait_seconds: float = 5.0) -> None:
        """Raises :class:`ValueError` if ``url`` is not the address of a Redis."""
        self._readiness = Readiness()
        self._factory = ConnectionFactory(url, self._readiness)
        self._node = secrets.token_urlsafe(12)
        self._lifetimes = ttl
        self._connection = SharedConnection(self._factory, self._on_connected)
        self._ending_wait_seconds = ending_wait_seconds
        self._fences = Fences(ttl.ended_ms, lambda: asyncio.get_running_loop().time())
        self._replicas = Replicas(self._connection, self._node, self._post, self._fences, max_readers)
        self._inbox = Inbox(self._factory, self._node, self._receive)
        self._recovered_at = 0.0
        """When Redis has again what it lost."""
        self._probe = inbox_exists_command(self._node)
        self._outbox = Outbox(self._connection)
        self._permission_check = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, local: LocalStreams) -> None:
        self._local = local
        self._remote_readers = RemoteReaders(local)
        self._replicator = Replicator(
            self._connection,
            self._remote_readers,
            self._node,
            ttl=self._lifetimes,
            fences=self._fences,
            ending_wait_seconds=self._ending_wait_seconds,
            on_data_lost=self._on_data_lost,
        )
        self._heartbeat = Heartbeat(
            self._factory,
            self._connection,
            self._node,
            replicas=self._replicas,
            remote_readers=self._remote_readers,
            ttl=self._lifetimes,
            on_data_lost=self._on_data_lost,
            readiness=self._readiness,
        )
        self._keep("connection", self._connection.run)
        try:
            async with asyncio.timeout(STORE_START_SECONDS):
                await self._connection.wait_connected()
        except TimeoutError:
            logger.bind(event="store").warning("started without the store: new streams are refused until it is there")
        for name, job in (
            ("inbox", self._inbox.run),
            ("replicator", self._replicator.run),
            ("replicas", self._replicas.run),
            ("heartbeat", self._heartbeat.run),
            ("outage", self._heartbeat.watch_outage),
            ("permissions", self._check_permissions),
        ):
            self._keep(name, job)

    async def publish(self, stream: LocalStream, claim: Claim | None, names: Sequence[str] = ()) -> ClaimHolder | None:
        epoch = self._connection.epoch
        publication = Publication.of(stream, claim, names)
        try:
            packed = publication.publish(stream, self._node, self._lifetimes.running_ms)
            replies = await self._execute_packed(packed)
        except BaseException:
            self._abandon(stream)
            raise
        holder = None if replies is None else parse_claim(replies[0])
        if holder is None:
            self._replicator.add(stream, publication, epoch)
        return holder

    async def bind(self, name: str, stream_id: str) -> None:
        await self._execute(bind_command(name, stream_id))

    async def lookup(self, name: str) -> str | None:
        while True:
            (stream_id,), recovered = await self._query(lookup_command(name))
            if stream_id is not None or recovered:
                return None if stream_id is None else str(stream_id, "ascii")
            await asyncio.sleep(RECOVERY_POLL_SECONDS)

    async def unbind(self, name: str) -> None:
        await self._execute(("DEL", name_key(name)))

    async def find(self, stream_id: str) -> ReadableStream | None:
        while True:
            found = await self._replicas.find(stream_id)
            if found is not None:
                return found
            _, recovered = await self._query()
            if recovered:
                return None
            await asyncio.sleep(RECOVERY_POLL_SECONDS)

    async def find_claim(self, key: str) -> ClaimHolder | None:
        while True:
            (value,), recovered = await self._query(("GET", claim_key(key)))
            if value is not None or recovered:
                return parse_claim(value)
            if (own := self._replicator.claimed(key)) is not None:
                return own  # Redis has lost it, and is about to get it again
            await asyncio.sleep(RECOVERY_POLL_SECONDS)

    async def release_claim(self, key: str, claimed: ClaimHolder) -> None:
        value = claim_value(claimed.stream_id, claimed.fingerprint)
        self._replicator.release(key, claimed)
        await self._execute(("EVAL", _RELEASE, 1, claim_key(key), value))

    def forget(self, stream_id: str) -> None:
        self._replicator.forget(stream_id)
        self._outbox.send(stream_id, _expire_command(log_key(stream_id)))

    def ready(self) -> str | None:
        return self._readiness.reason

    async def wait_available(self) -> None:
        await self._connection.wait_connected()

    async def aclose(self) -> None:
        if not self._tasks:
            return
        try:
            async with asyncio.timeout(LOG_FLUSH_SECONDS):
                await self._replicator.wait_done()
                await self._connection.submit(("DEL", node_key(self._node), inbox_key(self._node)))
        except (TimeoutError, StoreUnavailable):
            logger.bind(event="store").warning("ended before everything had reached the store")
        self._replicator.close()
        self._outbox.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _execute(self, *commands: Command) -> Replies:
        """Return the replies to ``commands``. Raises :class:`StoreUnavailable`, also if Redis refuses one."""
        replies = await self._execute_packed(Packed.of(*commands))
        assert replies is not None
        return replies

    async def _execute_packed(self, packed: Packed) -> Replies | None:
        """Return the replies as :meth:`_execute` does, or None if all are as expected."""
        replies: Replies | None = await self._connection.submit_packed(packed)
        for reply in replies or ():
            if isinstance(reply, ResponseError):
                self._permission_check.set()
                raise StoreUnavailable
        return replies

    async def _check_permissions(self) -> None:
        await self._readiness.check_permissions(
            lambda: self._connection.submit(*PERMISSION_PROBES), self._permission_check
        )

    def _post(self, node: str, message: Message) -> None:
        self._connection.submit(message_command(node, message))

    def _receive(self, message: Message) -> None:
        match message:
            case Grown(streams):
                self._replicas.wake(streams)
            case Readers(node, counts, of_all):
                now = asyncio.get_running_loop().time()
                (self._remote_readers.replace if of_all else self._remote_readers.update)(node, counts, now)
                self._replicator.expedite()
                # That node was not notified of what came between its last look and this message.
                self._post(node, Grown(list(counts)))
            case Stop(stream_id):
                stream = self._local.find(stream_id)
                if stream is not None and not stream.ended:
                    self._spawn("stop", stream.stop())

    def _on_connected(self, restarted: bool) -> None:
        if restarted:
            self._on_data_lost()
        self._permission_check.set()
        self._replicator.check_all()
        self._replicas.wake_all()
        self._outbox.send_again()

    def _on_data_lost(self) -> None:
        """Write again what Redis may have lost; fences come first, because they decide how logs end."""
        now = asyncio.get_running_loop().time()
        if now < self._recovered_at:
            return
        self._recovered_at = now + RECOVERY_SECONDS
        for stream_id, commands in self._fences:
            self._outbox.send(f"fence of {stream_id}", *commands)
        self._replicator.check_all(recovered_at=self._recovered_at)

    async def _query(self, *commands: Command) -> tuple[Replies, bool]:
        """Return the replies, and whether Redis lacks nothing that it had: it has this process's inbox, unless it lost
        its data."""
        had_inbox = self._heartbeat.has_inbox  # the reply to the first heartbeat may overtake this one
        *replies, inbox = await self._execute(*commands, self._probe)
        if had_inbox and not inbox:
            self._on_data_lost()
        return replies, asyncio.get_running_loop().time() >= self._recovered_at

    def _abandon(self, stream: LocalStream) -> None:
        """Fence a stream that will never be generated. It may have been published, and found by its key: its readers
        get a retryable error."""
        key, last = log_key(stream.id), failed("producer_lost", request_id=stream.log.start.request_id)
        self._outbox.send(stream.id, ("XADD", key, "NOMKSTREAM", FENCE, "r", encode([last])), _expire_command(key))

    def _keep(self, name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._spawn(name, run_forever(name, job, "a job of the store failed"))

    def _spawn(self, name: str, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job, name=f"store-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _expire_command(key: str) -> Command:
    """Return the command that leaves a log to its last readers."""
    return ("PEXPIRE", key, round(LOG_LINGER_SECONDS * 1000))
