"""Heartbeats: publish this process's own, and detect dead peers from theirs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

from loguru import logger
from redis.exceptions import ResponseError

from streamserver.core.error_codes import failed
from streamserver.redis.connection import (
    BROKEN,
    REPLY_SECONDS,
    Backoff,
    Command,
    ConnectionFactory,
    RedisConnection,
    Replies,
    SharedConnection,
)
from streamserver.redis.failure_detector import FailureDetector
from streamserver.redis.fences import fence_command, with_expiry
from streamserver.redis.inbox import create_inbox_command, inbox_exists_command
from streamserver.redis.keys import (
    BEAT_SECONDS,
    GAP_SECONDS,
    HEARTBEAT_LEASE_SECONDS,
    NODE_TTL_MS,
    inbox_key,
    log_key,
    node_key,
)
from streamserver.redis.readiness import Readiness
from streamserver.redis.remote_readers import RemoteReaders
from streamserver.redis.replicas import RemoteStream, Replicas
from streamserver.redis.replicator import LogTTL
from streamserver.store.base import AWAY_SECONDS

SYNC_BEATS = 3
"""After this many beats all reader counts are sent, and all logs are read again, in case a message was lost."""


class Beat(NamedTuple):
    """A heartbeat that was sent, with the queries sent along with it."""

    sent: float
    nodes: Sequence[str]
    watched: Sequence[RemoteStream]
    commands: Sequence[Command]


class Heartbeat:
    """The heartbeat of this process, on a connection of its own.

    Beats are sent on time: none waits for the reply to another, or for other commands. The
    queries of the failure detector are sent along with each.
    """

    def __init__(
        self,
        factory: ConnectionFactory,
        shared: SharedConnection,
        node: str,
        *,
        replicas: Replicas,
        remote_readers: RemoteReaders,
        ttl: LogTTL,
        on_data_lost: Callable[[], object],
        readiness: Readiness,
    ) -> None:
        self._factory = factory
        self._shared = shared
        self._node = node
        self._replicas = replicas
        self._remote_readers = remote_readers
        self._lifetimes = ttl
        self._on_data_lost = on_data_lost
        self._readiness = readiness
        self._loop = asyncio.get_running_loop()
        self._detector = FailureDetector()
        self._numbers = count(1)
        self._probe = inbox_exists_command(node)
        self._last_reply_at = float("-inf")
        """When the last reply to a heartbeat came."""
        self._writes_rejected = False
        self.has_inbox = False
        """The inbox of this process was made, and stays unless Redis loses data."""

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        backoff = Backoff()
        while True:
            try:
                connection, _ = await self._factory.connect()
            except BROKEN:
                self._shared.probe(self._probe)
                await backoff.wait()
                continue
            backoff.reset()
            self._replicas.reset_missing_since()
            pending: deque[Beat] = deque()
            sent = asyncio.Event()
            sender = self._loop.create_task(self._send(connection, pending, sent), name="store-beats")
            try:
                await self._receive(connection, pending, sent)
            except BROKEN:
                pass
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
                await self._factory.close(connection)
                self._shared.submit(self._probe)  # what cut this connection may have cut the other

    async def watch_outage(self) -> None:
        """Disconnect the readers of remote streams when the store stays away. Runs until cancelled."""
        while True:
            await self._shared.wait_disconnected()
            while (since := self._shared.down_since) is not None:
                if self._loop.time() - since > AWAY_SECONDS:
                    self._replicas.disconnect_readers()
                await asyncio.sleep(BEAT_SECONDS)

    async def _send(self, connection: RedisConnection, pending: deque[Beat], sent: asyncio.Event) -> None:
        due = self._loop.time()
        make_inbox: list[Command] = [create_inbox_command(self._node)]
        try:
            while True:
                beat = self._next_beat(make_inbox)
                make_inbox = []
                pending.append(beat)
                await connection.send(beat.commands)
                sent.set()
                self._shared.probe(self._probe)
                due = max(due + BEAT_SECONDS, self._loop.time())
                await asyncio.sleep(due - self._loop.time())
        except BROKEN:
            connection.abort()
            sent.set()

    def _next_beat(self, first: Sequence[Command]) -> Beat:
        watched = self._replicas.watched()
        nodes = sorted({stream.node for stream in watched})
        commands: list[Command] = [
            ("SET", node_key(self._node), next(self._numbers), "PX", NODE_TTL_MS),
            *first,
            ("PEXPIRE", inbox_key(self._node), NODE_TTL_MS),
            *(("GET", node_key(node)) for node in nodes),
            *(("EXISTS", log_key(stream.id)) for stream in watched),
        ]
        return Beat(self._loop.time(), nodes, watched, commands)

    async def _receive(self, connection: RedisConnection, pending: deque[Beat], sent: asyncio.Event) -> None:
        for number in count(1):
            while not pending:
                sent.clear()
                await sent.wait()
            beat = pending[0]
            async with asyncio.timeout_at(beat.sent + REPLY_SECONDS):
                replies = await connection.read_all(len(beat.commands))
            pending.popleft()
            self._evaluate(beat, replies)
            if number % SYNC_BEATS == 0:
                self._replicas.report_all_readers()
                self._replicas.wake_all()

    def _evaluate(self, beat: Beat, replies: Replies) -> None:
        self._readiness.record_reply("writing", "SET", replies[0])
        if isinstance(replies[0], ResponseError):
            self._suspend()
            return
        self._writes_rejected = False
        now = self._loop.time()
        self._expire_remote_readers(now)
        *_, inbox = replies[: len(replies) - len(beat.nodes) - len(beat.watched)]
        answers = replies[len(replies) - len(beat.nodes) - len(beat.watched) :]
        if self.has_inbox and inbox == 0:
            self._shared.submit(create_inbox_command(self._node), ("PEXPIRE", inbox_key(self._node), NODE_TTL_MS))
            self._on_data_lost()
        self.has_inbox = True
        beats = dict(zip(beat.nodes, answers, strict=False))
        dead = self._detector.observe(beats, requested_at=beat.sent, now=now)
        for stream, exists in zip(beat.watched, answers[len(beat.nodes) :], strict=True):
            self._replicas.check_vanished(stream, exists != 0, now)
        if lost := [stream for stream in beat.watched if stream.node in dead and not stream.ended]:
            self._fence_lost(lost)

    def _suspend(self) -> None:
        """Suspend failure detection while Redis rejects writes, because no node can refresh its heartbeat.

        Nodes can neither report their readers nor restore lost logs either. Earlier observations are discarded.
        """
        self._detector = FailureDetector()
        self._last_reply_at = float("-inf")
        self._replicas.reset_missing_since()
        if not self._writes_rejected:
            self._writes_rejected = True
            logger.bind(event="store").warning("the store accepts no writes")

    def _expire_remote_readers(self, now: float) -> None:
        if now - self._last_reply_at > GAP_SECONDS or not self._shared.is_connected:
            self._remote_readers.restart_leases(now)
        self._last_reply_at = now
        self._remote_readers.expire_silent(now - 2 * HEARTBEAT_LEASE_SECONDS)

    def _fence_lost(self, streams: Sequence[RemoteStream]) -> None:
        """End the streams of a dead producer. Redis accepts one such ending of each; all readers read that one."""
        logger.bind(event="producer_lost", streams=len(streams)).warning(
            "a node is dead; its streams were ended with producer_lost"
        )
        commands: list[Command] = []
        for stream in streams:
            start = stream.log.start
            last = failed("producer_lost", request_id=start.request_id)
            fence = fence_command(start, last, stream.node, stream.grace_seconds)
            commands += with_expiry(fence, stream.id, self._lifetimes.ended_ms)
        self._shared.submit(*commands)
        self._replicas.wake([stream.id for stream in streams])
