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
from streamserver.redis.fences import fence
from streamserver.redis.inbox import opened
from streamserver.redis.keys import (
    BEAT_SECONDS,
    GAP_SECONDS,
    LEASE_SECONDS,
    PRESENCE_MS,
    inbox_key,
    log_key,
    node_key,
)
from streamserver.redis.readiness import Readiness
from streamserver.redis.remote_readers import RemoteReaders
from streamserver.redis.replicas import RemoteStream, Replicas
from streamserver.redis.replicator import Lifetimes
from streamserver.store.base import AWAY_SECONDS

SYNC_BEATS = 3
"""After so many beats the counts of readers are sent again, and the logs are read again, in case a message was lost."""


class Beat(NamedTuple):
    """A heartbeat that was sent, with the questions that went with it."""

    sent: float
    nodes: Sequence[str]
    watched: Sequence[RemoteStream]
    commands: Sequence[Command]


class Heartbeat:
    """The heartbeat of this process, on a connection of its own.

    Beats are sent on time: none waits for the reply to another, or for other commands. With each go the questions that
    the failure detector needs.
    """

    def __init__(
        self,
        factory: ConnectionFactory,
        shared: SharedConnection,
        node: str,
        *,
        replicas: Replicas,
        remote_readers: RemoteReaders,
        lifetimes: Lifetimes,
        on_data_lost: Callable[[], object],
        readiness: Readiness,
    ) -> None:
        self._factory = factory
        self._shared = shared
        self._node = node
        self._replicas = replicas
        self._remote_readers = remote_readers
        self._lifetimes = lifetimes
        self._on_data_lost = on_data_lost
        self._readiness = readiness
        self._loop = asyncio.get_running_loop()
        self._detector = FailureDetector()
        self._numbers = count(1)
        self._heard_until = float("-inf")
        """Until when other nodes could be heard."""
        self._refused = False
        self.has_inbox = False
        """The inbox of this process was made, and stays unless Redis loses data."""

    async def run(self) -> None:
        """Beat, for ever."""
        backoff = Backoff()
        while True:
            try:
                connection, _ = await self._factory.connect()
            except BROKEN:
                self._check_shared()
                await backoff.wait()
                continue
            backoff.reset()
            self._replicas.excuse_absence()
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
                self._check_shared()

    async def watch_absence(self) -> None:
        """Send remote streams' readers away when the store stays away; for ever."""
        while True:
            since = self._shared.down_since
            if since is not None and self._loop.time() - since > AWAY_SECONDS:
                self._replicas.send_away()
            await asyncio.sleep(BEAT_SECONDS)

    async def _send(self, connection: RedisConnection, pending: deque[Beat], sent: asyncio.Event) -> None:
        due = self._loop.time()
        make_inbox: list[Command] = [opened(self._node)]
        try:
            while True:
                beat = self._next_beat(make_inbox)
                make_inbox = []
                pending.append(beat)
                await connection.send(beat.commands)
                sent.set()
                self._check_shared()
                due = max(due + BEAT_SECONDS, self._loop.time())
                await asyncio.sleep(due - self._loop.time())
        except BROKEN:
            connection.abort()
            sent.set()

    def _check_shared(self) -> None:
        """Send a command on the other connection if it is idle: only a command shows that a connection is broken."""
        if self._shared.idle:
            self._shared.submit(("EXISTS", inbox_key(self._node)))

    def _next_beat(self, first: Sequence[Command]) -> Beat:
        watched = self._replicas.watched()
        nodes = sorted({stream.node for stream in watched})
        commands: list[Command] = [
            ("SET", node_key(self._node), next(self._numbers), "PX", PRESENCE_MS),
            *first,
            ("PEXPIRE", inbox_key(self._node), PRESENCE_MS),
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
                replies = [await connection.read() for _ in beat.commands]
            pending.popleft()
            self._evaluate(beat, replies)
            if number % SYNC_BEATS == 0:
                self._replicas.tell_all_readers()
                self._replicas.wake_all()

    def _evaluate(self, beat: Beat, replies: Replies) -> None:
        self._readiness.note("writing", "SET", replies[0])
        if isinstance(replies[0], ResponseError):
            self._suspend()
            return
        self._refused = False
        now = self._loop.time()
        self._expire_remote_readers(now)
        *_, inbox = replies[: len(replies) - len(beat.nodes) - len(beat.watched)]
        answers = replies[len(replies) - len(beat.nodes) - len(beat.watched) :]
        if self.has_inbox and inbox == 0:
            self._shared.submit(opened(self._node), ("PEXPIRE", inbox_key(self._node), PRESENCE_MS))
            self._on_data_lost()
        self.has_inbox = True
        beats = dict(zip(beat.nodes, answers, strict=False))
        dead = self._detector.look(beats, asked=beat.sent, now=now)
        for stream, exists in zip(beat.watched, answers[len(beat.nodes) :], strict=True):
            self._replicas.check_vanished(stream, exists != 0, now)
        if dead:
            self._fence_lost([stream for stream in beat.watched if stream.node in dead and not stream.ended])

    def _suspend(self) -> None:
        """Judge nothing while Redis answers and accepts no write: no node can show that it lives, report its readers,
        or write again what was lost. What was seen before counts no more either."""
        self._detector = FailureDetector()
        self._heard_until = float("-inf")
        self._replicas.excuse_absence()
        if not self._refused:
            self._refused = True
            logger.bind(event="store").warning("the store accepts no writes")

    def _expire_remote_readers(self, now: float) -> None:
        if now - self._heard_until > GAP_SECONDS or not self._shared.up:
            self._remote_readers.excuse_silence(now)
        self._heard_until = now
        self._remote_readers.forget_silent(now - 2 * LEASE_SECONDS)

    def _fence_lost(self, streams: Sequence[RemoteStream]) -> None:
        """End the streams of a dead producer. Redis accepts one such ending of each; all readers read that one."""
        logger.bind(event="producer_lost", streams=len(streams)).warning("a node is gone; its streams are ended")
        commands: list[Command] = []
        for stream in streams:
            start = stream.log.start
            last = failed("producer_lost", request_id=start.request_id)
            commands.append(fence(start, last, stream.node, stream.grace_seconds))
            commands.append(("PEXPIRE", log_key(stream.id), self._lifetimes.ended_ms))
        self._shared.submit(*commands)
        self._replicas.wake([stream.id for stream in streams])
