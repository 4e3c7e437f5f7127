"""Entries of many logs, as they go to Redis together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, repeat
from typing import NamedTuple

import msgspec

from providers.base import Text
from streamserver.log.codec import encode, encode_texts
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
    appended: Sequence[ReplicatedLog] = ()
    """The logs with an entry of :meth:`append_all`."""
    stored: Sequence[int] = ()
    """How many records Redis has of each of them with it."""
    unfinished: Sequence[ReplicatedLog] = ()
    """The logs given to :meth:`append_all` with more to send: an entry has room for no more, or the batch has not."""
    others: list[Entry] = []
    """The entries of another form."""
    parts: list[Packed] = []
    """All commands."""
    reply_count: int = 0

    def __bool__(self) -> bool:
        return self.reply_count > 0

    def append_all(self, logs: Sequence[ReplicatedLog], max_bytes: int) -> None:
        """Add what Redis lacks of each of ``logs``, until the size reaches ``max_bytes``.

        Redis is known to have all the rest of them, and none has ended. Everything is done column by column, for all
        logs at once: a loop that builds a command for each takes twice as long, and that is most of what a token costs
        over Redis.
        """
        records = [log.records for log in logs]
        stored = list(map(len, records))
        newest = [each[-1] for each in records]
        only_texts = sum(stored) - sum([log.stored for log in logs]) == len(logs) and set(map(type, newest)) == {Text}
        if only_texts:  # one of each log, as in most batches
            data = encode_texts([text.text for text in newest])  # type: ignore[union-attr]
        else:
            entries = [log.next_records() for log in logs]
            stored = [log.stored + len(entry) for log, entry in zip(logs, entries, strict=True)]
            data = list(map(encode, entries))
        sizes = list(map(len, data))
        size = sum(sizes) + len(sizes) * ENTRY_OVERHEAD_BYTES
        rest: Sequence[ReplicatedLog] = ()
        if size > max_bytes:
            ends = accumulate(size + ENTRY_OVERHEAD_BYTES for size in sizes)
            room = 1 + sum(end < max_bytes for end in ends)
            logs, rest, stored, data, sizes = logs[:room], logs[room:], stored[:room], data[:room], sizes[:room]
            size = sum(sizes) + len(sizes) * ENTRY_OVERHEAD_BYTES
        if rest or not only_texts:
            cut = [log for log, count in zip(logs, stored, strict=True) if count < len(log.records)]
            self.unfinished = [*cut, *rest]
        ids = list(map(packed_id, stored))
        heads = [log.append_head for log in logs]
        columns = zip(heads, ids, map(_data_head, sizes), data, repeat(b"\r\n"))
        self._add(Packed(b"".join(chain.from_iterable(columns)), len(ids), b"".join(ids)))
        self.appended, self.stored, self.size = logs, stored, size

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
            self._add(packed)

    def packed(self) -> Packed:
        """Return all commands."""
        return Packed.join(self.parts)

    def entries(self) -> Iterator[Entry]:
        """Yield all entries."""
        for position, log in enumerate(self.appended):
            yield Entry(log, self.stored[position], position)
        yield from self.others

    def _add(self, packed: Packed) -> None:
        self.parts.append(packed)
        self.reply_count += packed.reply_count


@lru_cache(maxsize=4096)
def packed_id(stored: int) -> bytes:
    """Return the id of the entry with which Redis has ``stored`` records, as an argument and as a reply."""
    entry_id = b"%d-0" % stored
    return b"$%d\r\n%b\r\n" % (len(entry_id), entry_id)


@lru_cache(maxsize=4096)
def _data_head(size: int) -> bytes:
    """Return what precedes the ``size`` bytes of an entry's records."""
    return b"$1\r\nr\r\n$%d\r\n" % size
