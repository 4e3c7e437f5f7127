"""Entries of many logs, as they go to Redis together."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from typing import NamedTuple

import msgspec

from providers.base import Text
from streamserver.log.codec import encode, encode_text
from streamserver.redis._redis_py import Packed
from streamserver.redis.replicated_log import ReplicatedLog

ENTRY_OVERHEAD_BYTES = 1024
"""What an entry counts for in the size of a batch, besides its records."""


class Entry(NamedTuple):
    """An entry in a batch: the number of records that Redis has with it, and the position of its reply."""

    log: ReplicatedLog
    stored: int
    position: int


class Batch(msgspec.Struct):
    """Commands that write entries, first those of :meth:`append_all`, each of which has the entry's id as its reply."""

    size: int = 0
    """In bytes, about."""
    appended: list[ReplicatedLog] = []
    """The logs with an entry of :meth:`append_all`."""
    stored: list[int] = []
    """How many records Redis has of each of them once its entry is written."""
    unfinished: list[ReplicatedLog] = []
    """Those of ``appended`` with more records than one entry holds."""
    others: list[Entry] = []
    """The entries of another form."""
    parts: list[Packed] = []
    """All commands."""
    reply_count: int = 0

    def append_all(self, logs: Iterator[ReplicatedLog], max_bytes: int) -> None:
        """Add an entry of each of ``logs``, up to the one with which their size reaches ``max_bytes``. The iterator
        keeps the rest.

        To be called once, first. Redis must have all earlier records of each log, and none may have ended.
        """
        appends: list[bytes] = []
        expected: list[bytes] = []
        size = 0
        for log in logs:
            records, stored = log.records, log.stored
            if len(records) - stored == 1 and type(record := records[stored]) is Text:  # as most entries are
                data = encode_text(record.text)
                stored += 1
            else:
                entry = log.next_records()
                data = encode(entry)
                stored += len(entry)
                if stored < len(records):
                    self.unfinished.append(log)
            entry_id = packed_id(stored)
            appends.append(b"%b%b$1\r\nr\r\n$%d\r\n%b\r\n" % (log.append_head, entry_id, len(data), data))
            expected.append(entry_id)
            self.appended.append(log)
            self.stored.append(stored)
            size += len(data) + ENTRY_OVERHEAD_BYTES
            if size >= max_bytes:
                break
        self.add_commands(Packed(b"".join(appends), len(appends), b"".join(expected)))

    def add(self, log: ReplicatedLog, stored: int, entry: Packed) -> None:
        """Add an entry of another form, with which Redis has ``stored`` records: the command that writes it, and what
        goes with it."""
        self.others.append(Entry(log, stored, self.reply_count))
        self.size += ENTRY_OVERHEAD_BYTES
        self.add_commands(entry)

    def add_commands(self, packed: Packed) -> None:
        """Add commands that write no entry, if any."""
        if packed.reply_count:
            self.size += len(packed.data)
            self.parts.append(packed)
            self.reply_count += packed.reply_count

    def packed(self) -> Packed:
        """Return all commands."""
        return Packed.join(self.parts)

    def entries(self) -> Iterator[Entry]:
        """Yield all entries."""
        yield from map(Entry, self.appended, self.stored, count())
        yield from self.others


@lru_cache(maxsize=4096)
def packed_id(stored: int) -> bytes:
    """Return the id of the entry with which Redis has ``stored`` records, as an argument and as a reply."""
    entry_id = b"%d-0" % stored
    return b"$%d\r\n%b\r\n" % (len(entry_id), entry_id)
