"""Who lives: this process shows that it does, and watches those whose streams are read here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from loguru import logger
from redis.exceptions import ResponseError

from streamserver.core.error_codes import failed
from streamserver.redis.connection import Command, Link
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
from streamserver.redis.remote_readers import RemoteReaders
from streamserver.redis.replicas import RemoteStream, Replicas
from streamserver.redis.replicator import Lifetimes
from streamserver.store.base import AWAY_SECONDS, StoreUnavailable


class Lives:
    """Judges from heartbeats, as seen by one who looks often, who is dead.

    Only silence that was watched counts: after a gap in the watching every lease begins anew.
    """

    def __init__(self) -> None:
        self._beats: dict[str, tuple[bytes | None, float]] = {}
        self._looked = float("-inf")

    def look(self, beats: dict[str, bytes | None], now: float) -> list[str]:
        """Take note of everyone's last heartbeat; the dead."""
        gap = now - self._looked > GAP_SECONDS
        self._looked = now
        for node, beat in beats.items():
            before = self._beats.get(node)
            if gap or before is None or before[0] != beat:
                self._beats[node] = (beat, now)
        self._beats = {node: seen for node, seen in self._beats.items() if node in beats}
        return [node for node, (_, since) in self._beats.items() if now - since > LEASE_SECONDS]


class Pulse:
    """The one regular job of a process: a heartbeat, and a look at those of others."""

    def __init__(
        self,
        link: Link,
        node: str,
        replicas: Replicas,
        remote_readers: RemoteReaders,
        lifetimes: Lifetimes,
        on_data_lost: Callable[[], object],
    ) -> None:
        self._link = link
        self._node = node
        self._replicas = replicas
        self._remote_readers = remote_readers
        self._lifetimes = lifetimes
        self._on_data_lost = on_data_lost
        self.has_inbox = False
        self._lives = Lives()
        self._count = 0
        self._heard_since: tuple[int, float] = (0, 0.0)
        """An epoch, and since when others can have told us something in it."""
        self._refused = False

    async def run(self) -> None:
        """Beat, for ever."""
        while True:
            try:
                await self._beat()
            except StoreUnavailable:
                self._replicas.excuse_absence()
                self._give_up_late()
            await asyncio.sleep(BEAT_SECONDS)

    async def _beat(self) -> None:
        watched = self._replicas.watched()
        nodes = sorted({stream.node for stream in watched})
        self._count += 1
        replies = await self._link.submit(
            ("SET", node_key(self._node), self._count, "PX", PRESENCE_MS),
            ("PEXPIRE", inbox_key(self._node), PRESENCE_MS),
            *(("GET", node_key(node)) for node in nodes),
            *(("EXISTS", log_key(stream.id)) for stream in watched),
        )
        if isinstance(replies[0], ResponseError):
            self._refuse_to_judge(replies[0])
            return
        self._refused = False
        if replies[1] == 0:
            self._link.submit(opened(self._node), ("PEXPIRE", inbox_key(self._node), PRESENCE_MS))
            if self.has_inbox:
                self._on_data_lost()
        self.has_inbox = True
        now = asyncio.get_running_loop().time()
        self._count_remote_readers(now)
        beats = dict(zip(nodes, replies[2 : 2 + len(nodes)], strict=True))
        dead = self._lives.look(beats, now)
        if dead:
            await self._fence_lost([stream for stream in watched if stream.node in dead])
        for stream, exists in zip(watched, replies[2 + len(nodes) :], strict=True):
            self._replicas.check_vanished(stream, exists != 0, now)
        if self._count % 3 == 0:
            self._replicas.tell_all_readers()
            self._replicas.wake_all()

    def _refuse_to_judge(self, refusal: ResponseError) -> None:
        """Redis is full, or read-only. It answers, and nobody can show it that they live, tell who reads, or
        write again what it has lost: what is seen now, and what had been seen before, says nothing."""
        self._lives = Lives()
        self._heard_since = (0, 0.0)
        self._replicas.excuse_absence()
        if not self._refused:
            self._refused = True
            logger.bind(event="store", error_type=type(refusal).__name__).warning("the store takes nothing")

    def _count_remote_readers(self, now: float) -> None:
        epoch, since = self._heard_since
        if epoch != self._link.epoch or now - since > GAP_SECONDS:
            self._remote_readers.excuse_silence(now)
        self._heard_since = (self._link.epoch, now)
        self._remote_readers.forget_silent(now - 2 * LEASE_SECONDS)

    async def _fence_lost(self, streams: Sequence[RemoteStream]) -> None:
        """End the streams of a dead producer. Redis accepts one such ending of each; all readers read that one."""
        logger.bind(event="producer_lost", streams=len(streams)).warning("a node is gone; its streams are ended")
        commands: list[Command] = []
        for stream in streams:
            start = stream.log.start
            last = failed("producer_lost", request_id=start.request_id)
            commands.append(fence(start, last, stream.node, stream.grace_seconds))
            commands.append(("PEXPIRE", log_key(stream.id), self._lifetimes.ended_ms))
        await self._link.submit(*commands)
        await self._replicas.refresh(streams)

    def _give_up_late(self) -> None:
        since = self._link.down_since
        if since is not None and asyncio.get_running_loop().time() - since > AWAY_SECONDS:
            self._replicas.send_away()
