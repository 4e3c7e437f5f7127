"""Replication of this process's logs to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from loguru import logger
from redis.exceptions import ResponseError

from streamserver.log.codec import decode, encode
from streamserver.log.records import Done, Failed, Terminal
from streamserver.redis._redis_py import is_out_of_order
from streamserver.redis.batch import Batch, packed_id
from streamserver.redis.connection import Command, Packed, Replies, SharedConnection
from streamserver.redis.fences import Fences
from streamserver.redis.inbox import Grown, message_command
from streamserver.redis.keys import FENCE, LOG_LINGER_SECONDS
from streamserver.redis.publication import Publication
from streamserver.redis.remote_readers import RemoteReaders
from streamserver.redis.replicated_log import ReplicatedLog
from streamserver.store.base import ClaimHolder, LocalStream, StoreUnavailable

GATHER_SECONDS = 0.005
"""How long records wait for those of other streams, unless a reader on another node waits for them. The next record
that comes takes them along."""
GATHER_LIMIT_SECONDS = 0.008
"""How long they wait if none comes. It is longer, because a timer has to wake the process, and a record finds it
awake."""
BATCH_BYTES = 1024 * 1024
"""How much is sent at once of all streams that go on, and as much again of those that begin or end: other commands
must not wait long behind it."""
VERIFIED_LOGS = 1000
"""The maximum number of logs that Redis is asked about at once."""
TIMER_SLACK_SECONDS = 0.01
"""A timer may fire earlier by the resolution of the loop's clock."""
REPLICATION_RETRY_SECONDS = 0.5
"""How long to wait before the next attempt when Redis is full or read-only."""


class LogTTL:
    """The times in seconds for which Redis keeps a log, while it runs and after its end."""

    def __init__(self, *, running: float, ended: float) -> None:
        self.running_ms = max(1, round((running + ended) * 1000))
        self.ended_ms = round(max(LOG_LINGER_SECONDS, ended) * 1000)


class Replicator:
    """The replication of every log of this process to Redis. The writers never wait for it.

    The new records of all logs go out together: at once if a reader on another node waits for any of them, or a log
    has ended, else with the first record that comes :data:`GATHER_SECONDS` later, and within
    :data:`GATHER_LIMIT_SECONDS`. Of each log one entry is under way at a time. Its id is the number of
    records up to its end, so that a second sending is refused; after a new connection Redis is asked first what it has.
    So no hole can appear. What Redis has lost is written again.

    An ending is hidden from readers until Redis has accepted it, for ``ending_wait_seconds`` at the most. If another
    node has fenced the log, the fence is the ending.
    """

    def __init__(
        self,
        connection: SharedConnection,
        remote_readers: RemoteReaders,
        node: str,
        *,
        ttl: LogTTL,
        fences: Fences,
        ending_wait_seconds: float,
        on_data_lost: Callable[[], object],
    ) -> None:
        """``on_data_lost`` is called when Redis lacks a log that it had."""
        self._connection = connection
        self._remote_readers = remote_readers
        self._node = node
        self._lifetimes = ttl
        self._fences = fences
        self._ending_wait_seconds = ending_wait_seconds
        self._on_data_lost = on_data_lost
        self._logs: dict[str, ReplicatedLog] = {}
        self._grown: dict[str, ReplicatedLog] = {}
        """Running logs with new records, of which Redis has all earlier ones. A log that is in ``_behind`` too is sent
        from there."""
        self._behind: dict[str, ReplicatedLog] = {}
        """Logs to be verified, to be written from their start, or with an ending to be sent."""
        self._claims: dict[str, ReplicatedLog] = {}
        """By idempotency key."""
        self._recovered_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.Event()
        self._under_way = False
        """A batch awaits its replies."""
        self._is_next_due = False
        """The next one is to go when they have come."""
        self._refused = False
        """Redis accepts nothing at the moment; the next try waits."""
        self._timer: asyncio.Handle | None = None
        """Sends what has been gathered; None if nothing waits."""
        self._gathered_at = 0.0
        """The loop's time from which the next record takes along what waits."""
        self._is_scheduled = False
        """What waits is to go at the end of this turn of the event loop."""
        self._done = asyncio.Event()
        self._done.set()

    def __len__(self) -> int:
        return len(self._logs)

    @property
    def _is_done(self) -> bool:
        """Whether everything has arrived."""
        return not (self._grown or self._behind or self._under_way)

    def add(self, stream: LocalStream, publication: Publication, epoch: int) -> None:
        """Replicate a stream that was published in ``epoch``."""
        log = self._logs[stream.id] = ReplicatedLog(stream, publication, epoch)
        if publication.claim is not None:
            self._claims[publication.claim.key] = log
        stream.log.share(partial(self._on_proposed, log))
        self._update(log)

    def forget(self, stream_id: str) -> None:
        """Stop replicating a stream that is not retained any more. What is still to be written has a moment for it."""
        log = self._logs.get(stream_id)
        if log is not None and log.is_behind:
            self._loop.call_later(LOG_LINGER_SECONDS, self._remove, stream_id)
        else:
            self._remove(stream_id)

    def claimed(self, key: str) -> ClaimHolder | None:
        """Return which of this process's streams claimed an idempotency key."""
        log = self._claims.get(key)
        claim = None if log is None else log.publication.claim
        return None if log is None or claim is None else ClaimHolder(log.id, claim.fingerprint)

    def release(self, key: str, claimed: ClaimHolder) -> None:
        """Forget a claim, so that it is not written again."""
        if self.claimed(key) == claimed:
            self._claims.pop(key).publication.claim = None

    def check_all(self, *, recovered_at: float = 0.0) -> None:
        """Compare every log with what Redis has. If Redis has lost data, endings wait until ``recovered_at``."""
        self._recovered_at = max(self._recovered_at, recovered_at)
        for log in self._logs.values():
            log.epoch = 0
            self._behind[log.id] = log
        self.expedite()
        if recovered_at:
            self._loop.call_at(recovered_at + TIMER_SLACK_SECONDS, self.expedite)

    def expedite(self) -> None:
        """Send at once what has been gathered."""
        if self._grown or self._behind:
            self._work.set()

    async def wait_done(self) -> None:
        """Wait until everything has arrived."""
        self.expedite()
        if not self._is_done:
            self._done.clear()
            await self._done.wait()

    async def run(self) -> None:
        """Send for ever what waits for a connection, for Redis to accept writes again, to be verified, or for room in a
        batch. The rest needs no task (:meth:`_on_gathered`)."""
        while True:
            await self._work.wait()
            if self._refused:
                await asyncio.sleep(REPLICATION_RETRY_SECONDS)
                self._refused = False
            if not self._connection.is_connected:
                await self._connection.wait_connected()
            self._work.clear()
            try:
                await self._verify()
            except StoreUnavailable:
                self._work.set()
                continue
            self._send()

    def close(self) -> None:
        """Tell local readers the endings that still wait for the store."""
        for log in list(self._logs.values()):
            log.publish_ending()
        if self._timer is not None:
            self._timer.cancel()

    def _on_proposed(self, log: ReplicatedLog) -> None:
        log.ending_timer = self._loop.call_later(self._ending_wait_seconds, log.publish_ending)
        if self._is_replicated(log):
            self._update(log)

    def _update(self, log: ReplicatedLog) -> None:
        """Note whether and how something of a log is to be sent, or have the log tell when it gets more."""
        self._grown.pop(log.id, None)
        self._behind.pop(log.id, None)
        goes_on = log.stored > 0 and log.source.proposed is None
        if log.epoch != self._connection.epoch:
            self._retry(log)  # after it is verified
        elif not log.is_behind:
            if goes_on:
                log.source.on_appended = self._on_appended
        elif goes_on:
            self._on_appended(log.id)
        else:
            self._behind[log.id] = log
            self._schedule_send()

    def _on_appended(self, stream_id: str) -> None:
        """Send what a log has got: at once if it is read on another node, else with what other logs get meanwhile."""
        self._grown[stream_id] = self._logs[stream_id]
        if stream_id in self._remote_readers.counts:
            self._schedule_send()
        elif self._timer is None:
            self._timer = self._loop.call_later(GATHER_LIMIT_SECONDS, self._on_gathered)
            self._gathered_at = self._loop.time() + GATHER_SECONDS
        elif self._loop.time() >= self._gathered_at:
            self._schedule_send()

    def _schedule_send(self) -> None:
        """Send what has been gathered, with what other logs get in this turn of the event loop."""
        if self._is_scheduled:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._is_scheduled = True
        self._timer = self._loop.call_soon(self._on_gathered)

    def _on_gathered(self) -> None:
        self._timer = None
        self._is_scheduled = False
        if self._work.is_set() or self._refused or not self._connection.is_connected:
            self._work.set()
        else:
            self._send()

    def _retry(self, log: ReplicatedLog) -> None:
        """Have the task verify a log, and send what Redis lacks of it, unless the log was forgotten meanwhile."""
        if self._is_replicated(log):
            self._behind[log.id] = log
            self._work.set()

    def _verify_again(self, log: ReplicatedLog) -> None:
        """Have the task ask what Redis has of a log."""
        log.epoch = 0
        self._retry(log)

    def _is_replicated(self, log: ReplicatedLog) -> bool:
        """Return whether ``log`` was not forgotten."""
        return self._logs.get(log.id) is log

    def _remove(self, stream_id: str) -> None:
        self._grown.pop(stream_id, None)
        self._behind.pop(stream_id, None)
        self._update_done()
        log = self._logs.pop(stream_id, None)
        if log is None:
            return
        log.source.on_appended = None
        claim = log.publication.claim
        if claim is not None and self._claims.get(claim.key) is log:
            del self._claims[claim.key]
        log.publish_ending()

    async def _verify(self) -> None:
        """Query how much Redis has of the logs that were last written on another connection."""
        epoch = self._connection.epoch
        logs = [log for log in self._behind.values() if log.epoch != epoch]
        if not logs:
            return
        if len(logs) > VERIFIED_LOGS:
            self._work.set()
            logs = logs[:VERIFIED_LOGS]
        # The last entry may be a fence, and the one before it the ending.
        commands: list[Command] = [("XREVRANGE", log.key, "+", "-", "COUNT", 2) for log in logs]
        for log, reply in zip(logs, await self._connection.submit(*commands, epoch=epoch), strict=True):
            if isinstance(reply, ResponseError):
                self._refused = True
                self._work.set()
            elif self._is_replicated(log):
                log.epoch = epoch
                self._reconcile(log, reply)
        self._update_done()

    def _reconcile(self, log: ReplicatedLog, last: list[tuple[bytes, list[bytes]]]) -> None:
        """Compare a log with the last entries that Redis has of it, the newest first."""
        log.ending_not_before = self._recovered_at
        if last and last[0][0] == FENCE:
            ending = decode(last[0][1][1])[-1]
            last = last[1:]
            if not last or not isinstance(decode(last[0][1][1])[-1], Done | Failed):
                assert isinstance(ending, Done | Failed)
                self._on_fenced(log, ending)
                return
        stored = int(last[0][0].partition(b"-")[0]) if last else 0
        self._note_stored(log, stored)

    def _on_fenced(self, log: ReplicatedLog, fence: Terminal) -> None:
        """End a log that other nodes have ended, in the same way."""
        stream = log.stream
        source = log.source
        log.cancel_ending_timer()
        self._fences.remember(source.start, fence, self._node, stream.grace_seconds)
        logger.bind(event="fenced", stream_id=stream.id[:6]).warning("another node ended this stream")
        if source.proposed is not None:
            source.accept(fence)
        else:
            source.share(lambda: source.accept(fence))
            stream.fence()
        self._remove(stream.id)

    def _send(self) -> None:
        """Send what Redis lacks of the logs that are behind, now or after what is under way."""
        if self._under_way:
            self._is_next_due = True
            return
        batch = self._take_batch()
        if not batch.reply_count:  # all that waits has to be verified first, or must not be sent yet
            return
        if self._remote_readers:
            batch.add_commands(self._notifications([entry.log.id for entry in batch.entries()]))
        self._under_way = True
        self._connection.send(
            batch.packed(),
            partial(self._on_sent, batch),
            partial(self._on_send_failed, batch),
            epoch=self._connection.epoch,
        )

    def _take_batch(self) -> Batch:
        """Return entries of the logs that have more, as far as there is room and as it is known what Redis has."""
        batch = Batch()
        for stream_id in self._behind:
            self._grown.pop(stream_id, None)
        if self._grown:
            self._append_grown(batch)
        max_bytes = batch.size + BATCH_BYTES  # streams that go on hold up no ending
        for log in list(self._behind.values()):
            if log.epoch != self._connection.epoch or batch.size >= max_bytes:
                self._work.set()  # it is verified first, or waits for the next batch
            else:
                self._add_edge(batch, log)
        return batch

    def _append_grown(self, batch: Batch) -> None:
        """Add entries of the logs that go on, and have these tell when they get more."""
        logs = iter(self._grown.values())
        batch.append_all(logs, BATCH_BYTES)
        self._grown = {log.id: log for log in (*logs, *batch.unfinished)}
        if self._grown:
            self._work.set()
        for log in batch.appended:
            log.source.on_appended = self._on_appended

    def _add_edge(self, batch: Batch, log: ReplicatedLog) -> None:
        """Add the first entry of a log that Redis lacks, or the next one of a log that has ended. Add none if all that
        is left is an ending that waits until other nodes have written their fences again."""
        records = log.next_records_or_ending(self._loop.time())
        stored = log.stored + len(records)
        if records:
            batch.add(log, stored, self._entry(log, stored, encode(records)))
            del self._behind[log.id]
            log.source.on_appended = None  # what it gets is seen when the reply has come

    def _on_sent(self, batch: Batch, replies: Replies | None) -> None:
        try:
            if replies is None:
                for log, stored in zip(batch.appended, batch.stored, strict=True):
                    log.stored = stored
                for log, stored, _ in batch.others:
                    self._on_written(log, stored)
            else:
                for log, stored, position in batch.entries():
                    self._on_reply(log, stored, replies[position])
        except Exception:
            # What an ending calls has failed. The replies that are not noted yet are lost with it.
            for entry in batch.entries():
                self._verify_again(entry.log)
            raise
        finally:
            self._on_batch_done()

    def _on_send_failed(self, batch: Batch) -> None:
        for entry in batch.entries():
            self._retry(entry.log)
        self._on_batch_done()

    def _on_batch_done(self) -> None:
        """Note that no batch is under way, and send the next one if it is due.

        Until then what the batch carries counts as unsent, also while its replies are noted.
        """
        self._under_way = False
        if self._is_next_due:
            self._is_next_due = False
            self._schedule_send()
        self._update_done()

    def _update_done(self) -> None:
        if self._is_done:
            self._done.set()

    def _on_reply(self, log: ReplicatedLog, stored: int, reply: Any) -> None:
        """Note the reply to an entry with which Redis has ``stored`` records."""
        if isinstance(reply, ResponseError):
            self._refused = self._refused or not is_out_of_order(reply)
            self._verify_again(log)
        else:
            self._on_written(log, 0 if reply is None else stored)

    def _on_written(self, log: ReplicatedLog, stored: int) -> None:
        if log.epoch:
            self._note_stored(log, stored)
        else:
            self._retry(log)  # Redis has lost data since: this is no news

    def _note_stored(self, log: ReplicatedLog, stored: int) -> None:
        """Note how many records Redis has, unless the log was forgotten meanwhile."""
        if not self._is_replicated(log):
            return
        if stored < log.stored:
            self._on_data_lost()
            log.ending_not_before = self._recovered_at
        log.stored = stored
        if log.is_complete_at(stored):
            log.accept()
        if self._is_replicated(log):
            self._update(log)

    def _entry(self, log: ReplicatedLog, stored: int, data: bytes) -> Packed:
        """Return the commands that write an entry, the entry itself first."""
        is_last = log.is_complete_at(stored)
        lifetime = self._lifetimes.ended_ms if is_last else self._lifetimes.running_ms
        expiry: Command = ("PEXPIRE", log.key, lifetime)
        if log.stored:
            entry: Command = ("XADD", log.key, "NOMKSTREAM", f"{stored}-0", "r", data)
            if is_last:
                return Packed.of(entry, expiry, expected=packed_id(stored) + b":1\r\n")
            return Packed.of(entry, expected=packed_id(stored))
        origin = ("n", self._node, "g", str(log.stream.grace_seconds))
        again = log.publication.restore(log.stream, lifetime)
        return Packed.of(("XADD", log.key, f"{stored}-0", "r", data, *origin), expiry, *again)

    def _notifications(self, stream_ids: Sequence[str]) -> Packed:
        """Return one message to each node that reads any of these streams."""
        by_node: dict[str, list[str]] = {}
        for stream_id in stream_ids:
            for node in self._remote_readers.nodes_of(stream_id):
                by_node.setdefault(node, []).append(stream_id)
        return Packed.of(*(message_command(node, Grown(streams)) for node, streams in by_node.items()))
