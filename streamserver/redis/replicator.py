"""Copies this process's logs to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

from loguru import logger
from redis.exceptions import ResponseError

from streamserver.log.codec import decode, encode
from streamserver.log.records import Record, Terminal
from streamserver.redis.connection import Command, Link
from streamserver.redis.inbox import Grown, posted
from streamserver.redis.keys import FENCE, LINGER_SECONDS, log_key
from streamserver.redis.publication import Publication
from streamserver.redis.remote_readers import Audience
from streamserver.store.base import Produced, StoreUnavailable

ENTRY_RECORDS = 256
"""As many records go into one entry."""
BATCH_BYTES = 1024 * 1024
"""So much, and one entry more, goes out at once, of all streams: heartbeats must not wait long behind it."""
BATCH_QUESTIONS = 1000
REFUSED_SECONDS = 0.5
"""Redis is full, or read-only: when to try again."""


def is_out_of_order(refusal: ResponseError) -> bool:
    """Redis has an entry of that id, or a later one: the fence, perhaps."""
    return "equal or smaller" in str(refusal) or "exhausted the last possible ID" in str(refusal)


class Lifetimes:
    """How long Redis keeps a log: while it runs, and after its end; in seconds."""

    def __init__(self, *, running: float, ended: float) -> None:
        self.running_ms = max(1, round((running + ended) * 1000))
        self.ended_ms = round(max(LINGER_SECONDS, ended) * 1000)


class _Copy:
    """A log, and how much of it is in Redis."""

    __slots__ = ("epoch", "publication", "stored", "stream", "wake")

    def __init__(self, stream: Produced, publication: Publication, stored: int, epoch: int) -> None:
        self.stream = stream
        self.publication = publication
        self.stored = stored
        self.epoch = epoch
        """The connection on which ``stored`` was last known to be true."""
        self.wake: Callable[[], None] | None = None
        """What its log will call at the next record."""


class Mirror:
    """Every log of this process, copied out behind its back.

    A log's next entry is sent when the one before has arrived, with all that came meanwhile. Its id says how
    many records there are with it, so that a second sending is refused, and after a new connection Redis is asked
    first what it has: no hole can appear. What it has lost is written again.
    """

    def __init__(self, link: Link, audience: Audience, node: str, lifetimes: Lifetimes) -> None:
        self._link = link
        self._audience = audience
        self._node = node
        self._lifetimes = lifetimes
        self._copies: dict[str, _Copy] = {}
        self._behind: dict[str, _Copy] = {}
        self._work = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()

    def __len__(self) -> int:
        return len(self._copies)

    def add(self, stream: Produced, publication: Publication, epoch: int) -> None:
        """Go on with a stream that was published in ``epoch``."""
        copy = self._copies[stream.id] = _Copy(stream, publication, 1, epoch)
        self._arm(copy)

    def forget(self, stream_id: str) -> None:
        """Its producer keeps the stream no more. What of it is still to be written has a moment for that."""
        copy = self._copies.get(stream_id)
        # Not whether it is noted as behind: that may come a moment later than this.
        if copy is not None and len(copy.stream.log) > copy.stored:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._drop, stream_id)
        else:
            self._drop(stream_id)

    def _drop(self, stream_id: str) -> None:
        self._behind.pop(stream_id, None)
        copy = self._copies.pop(stream_id, None)
        if copy is not None and copy.wake is not None:
            copy.stream.log.unsubscribe(copy.wake)

    def check_all(self) -> None:
        """Redis may have lost something."""
        for copy in self._copies.values():
            self._mark(copy)

    async def until_done(self) -> None:
        """Wait until everything has arrived."""
        await asyncio.sleep(0)  # for what has just grown to be noted
        await self._done.wait()

    async def run(self) -> None:
        """Copy, for ever."""
        while True:
            await self._work.wait()
            await self._link.until_up()
            self._work.clear()
            try:
                await self._verify()
                await self._send()
            except StoreUnavailable:
                pass
            if self._behind:
                self._work.set()
            else:
                self._done.set()

    def _mark(self, copy: _Copy) -> None:
        self._behind[copy.stream.id] = copy
        self._done.clear()
        self._work.set()

    def _arm(self, copy: _Copy) -> None:
        """Note what is left to do, or wait for the next record."""
        log = copy.stream.log
        if len(log) > copy.stored:
            self._mark(copy)
            return
        self._behind.pop(copy.stream.id, None)
        if log.terminal is None and copy.wake is None:
            copy.wake = partial(self._grown, copy)
            log.subscribe(copy.wake)

    def _grown(self, copy: _Copy) -> None:
        copy.wake = None
        if self._copies.get(copy.stream.id) is copy:
            self._mark(copy)

    async def _verify(self) -> None:
        """Ask what Redis has of the logs that were last written on another connection."""
        epoch = self._link.epoch
        copies = [copy for copy in self._behind.values() if copy.epoch != epoch][:BATCH_QUESTIONS]
        if not copies:
            return
        commands: list[Command] = [("XREVRANGE", log_key(copy.stream.id), "+", "-", "COUNT", 1) for copy in copies]
        refused = False
        for copy, reply in zip(copies, await self._link.submit(*commands, epoch=epoch), strict=True):
            if isinstance(reply, ResponseError):
                refused = True
                continue
            copy.epoch = epoch
            self._learn(copy, reply)
        if refused:
            await asyncio.sleep(REFUSED_SECONDS)

    def _learn(self, copy: _Copy, last: list[tuple[bytes, list[bytes]]]) -> None:
        if last and last[0][0] == FENCE:
            self._fenced(copy, decode(last[0][1][1])[-1])
            return
        copy.stored = int(last[0][0].partition(b"-")[0]) if last else 0
        self._arm(copy)

    def _fenced(self, copy: _Copy, terminal: Record) -> None:
        """Others took this process for dead, and have told their readers."""
        self._drop(copy.stream.id)
        if not copy.stream.ended:
            assert isinstance(terminal, Terminal)
            logger.bind(event="fenced", stream_id=copy.stream.id[:6]).warning("another node ended this stream")
            copy.stream.fence()

    async def _send(self) -> None:
        epoch = self._link.epoch
        copies: list[tuple[_Copy, int]] = []
        entries: list[list[Command]] = []
        room = BATCH_BYTES
        for copy in list(self._behind.values()):
            if copy.epoch != epoch:
                continue
            records = copy.stream.log.take(copy.stored, ENTRY_RECORDS)
            data = encode(records)
            copies.append((copy, copy.stored + len(records)))
            entries.append(self._entry(copy, len(records), data))
            room -= len(data)
            if room <= 0:
                break
        if not copies:
            return
        replies = await self._link.submit(*chain(*entries), *self._wakes(copies), epoch=epoch)
        refused = False
        for (copy, stored), entry in zip(copies, entries, strict=True):
            refused = self._sent(copy, stored, replies[0]) or refused
            replies = replies[len(entry) :]
        if refused:
            await asyncio.sleep(REFUSED_SECONDS)

    def _sent(self, copy: _Copy, stored: int, reply: Any) -> bool:
        """Take note of the reply to an entry. True if Redis takes nothing at the moment."""
        if self._copies.get(copy.stream.id) is not copy:
            return False
        if isinstance(reply, ResponseError):
            copy.epoch = 0  # whatever it is, ask what is there
            return not is_out_of_order(reply)
        copy.stored = 0 if reply is None else stored
        self._arm(copy)
        return False

    def _entry(self, copy: _Copy, records: int, data: bytes) -> list[Command]:
        stream, lifetime = copy.stream, self._lifetimes.running_ms
        key, count = log_key(stream.id), copy.stored + records
        ended = stream.ended and count == len(stream.log)
        if ended:
            lifetime = self._lifetimes.ended_ms
        expiry: Command = ("PEXPIRE", key, lifetime)
        if copy.stored:
            entry: Command = ("XADD", key, "NOMKSTREAM", f"{count}-0", "r", data)
            return [entry, expiry] if ended else [entry]
        about = ("n", self._node, "g", str(stream.grace_seconds))
        again = copy.publication.write_again(stream, lifetime)
        return [("XADD", key, f"{count}-0", "r", data, *about), expiry, *again]

    def _wakes(self, copies: list[tuple[_Copy, int]]) -> list[Command]:
        """One message to each node that reads any of what has grown."""
        grown: dict[str, list[str]] = {}
        for copy, _ in copies:
            for node in self._audience.nodes_of(copy.stream.id):
                grown.setdefault(node, []).append(copy.stream.id)
        return [posted(node, Grown(streams)) for node, streams in grown.items()]
