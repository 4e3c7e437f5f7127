"""A log of this process, and how much of it Redis has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from streamserver.log.records import Record
from streamserver.redis.keys import log_key
from streamserver.redis.publication import Publication
from streamserver.store.base import LocalStream

ENTRY_RECORDS = 256
"""The maximum number of records in one entry of the log in Redis."""


class ReplicatedLog:
    """The state of one log's replication."""

    __slots__ = (
        "accepted",
        "append_head",
        "ending_not_before",
        "ending_timer",
        "epoch",
        "id",
        "key",
        "publication",
        "records",
        "source",
        "stored",
        "stream",
    )

    def __init__(self, stream: LocalStream, publication: Publication, epoch: int) -> None:
        self.stream = stream
        self.id = stream.id
        self.source = stream.log
        self.records = stream.log.records
        """The log's own list. Asked for with each token: it spares a call."""
        self.key = log_key(stream.id)
        self.append_head = b"*6\r\n$4\r\nXADD\r\n$%d\r\n%b\r\n$10\r\nNOMKSTREAM\r\n" % (
            len(self.key),
            self.key.encode(),
        )
        """The command that appends an entry, packed, up to the entry's id. The key is ASCII."""
        self.publication = publication
        self.stored = 1
        """How many records Redis has."""
        self.epoch = epoch
        """The connection on which ``stored`` was last known to be true."""
        self.accepted = False
        """Redis has accepted the ending."""
        self.ending_not_before = 0.0
        """The loop's time before which no ending is sent: Redis has lost data, perhaps a fence, which the nodes that
        have seen it write again."""
        self.ending_timer: asyncio.TimerHandle | None = None
        """Runs while an ending waits for the store."""

    @property
    def length(self) -> int:
        """How many records Redis is to have, an ending that no reader sees yet among them."""
        log = self.source
        return len(log) + (log.proposed is not None and log.terminal is None)

    @property
    def is_behind(self) -> bool:
        return self.stored < self.length

    def next_records(self) -> Sequence[Record]:
        """Return the records of the next entry, without an ending that no reader sees yet."""
        return self.source.take(self.stored, ENTRY_RECORDS)

    def next_records_or_ending(self, now: float) -> Sequence[Record]:
        """Return the records of the next entry; none if only an ending is left, which may not be sent yet."""
        log, records = self.source, self.next_records()
        ending = log.proposed
        if ending is None:
            return records
        if log.terminal is None and len(records) < ENTRY_RECORDS:
            records = [*records, ending]
        if records and records[-1] is ending and not self.accepted and now < self.ending_not_before:
            return records[:-1]
        return records

    def is_complete_at(self, stored: int) -> bool:
        """Return whether the first ``stored`` records are all of an ended log."""
        return self.source.proposed is not None and stored == self.length

    def accept(self) -> None:
        """Record that Redis has accepted the ending, and publish it to the readers."""
        self.accepted = True
        self.publish_ending()

    def publish_ending(self) -> None:
        """End the log as its writer proposed, unless it has ended."""
        self.cancel_ending_timer()
        log = self.source
        if log.terminal is None and log.proposed is not None:
            log.accept(log.proposed)

    def cancel_ending_timer(self) -> None:
        if self.ending_timer is not None:
            self.ending_timer.cancel()
            self.ending_timer = None
