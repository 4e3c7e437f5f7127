"""Entries of many logs, as they go to Redis together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from streamserver.log.codec import encode
from streamserver.redis._redis_py import Packed
from streamserver.redis.replicated_log import ENTRY_RECORDS, ReplicatedLog

ENTRY_OVERHEAD_BYTES = 1024
"""What an entry counts for in the size of a batch, besides its records."""


class Batch:
    """Commands that append to logs. Most are of one form, with a reply that can be foretold: the entry's id."""

    __slots__ = ("_appends", "_expected", "_others", "_others_replies", "_positions", "appended", "size")

    def __init__(self) -> None:
        self.size = 0
        """In bytes, about."""
        self.appended: list[ReplicatedLog] = []
        """The logs with an entry of that form."""
        self._appends: list[bytes] = []
        self._expected: list[bytes] = []
        self._others: list[Packed] = []
        """The commands that follow them."""
        self._others_replies = 0
        self._positions: list[tuple[ReplicatedLog, int]] = []
        """The logs with another entry, and the position of its reply among those to the others."""

    def __bool__(self) -> bool:
        return bool(self.appended or self._positions)

    def append_all(
        self, logs: Iterable[ReplicatedLog], *, epoch: int, max_bytes: int, on_appended: Callable[[str], object]
    ) -> list[ReplicatedLog]:
        """Add the new records of each log that Redis has and that has not ended, and have ``on_appended`` called when
        it gets more. Stop after the entry with which the size reaches ``max_bytes``.

        ``epoch`` is the connection on which the batch is to be sent. Return those of the logs looked at that have more
        to send, and those that need an entry of another form, or have to be verified first.
        """
        left: list[ReplicatedLog] = []
        appends, expected, appended, size = self._appends, self._expected, self.appended, self.size
        for log in logs:
            stored, records = log.stored, log.records
            if log.epoch != epoch or not stored or records.proposed is not None:
                left.append(log)
                continue
            entry = records.take(stored, ENTRY_RECORDS)
            count = len(entry)
            if count < ENTRY_RECORDS or stored + count == len(records):
                records.on_appended = on_appended
            else:
                left.append(log)
            log.sent = stored = stored + count
            entry_id, data = packed_id(stored), encode(entry)
            data_size = len(data)
            appends.append(b"%b%b$1\r\nr\r\n$%d\r\n%b\r\n" % (log.append_head, entry_id, data_size, data))
            expected.append(entry_id)
            appended.append(log)
            size += data_size + ENTRY_OVERHEAD_BYTES
            if size >= max_bytes:
                break
        self.size = size
        return left

    def add(self, log: ReplicatedLog, stored: int, entry: Packed) -> None:
        """Add an entry of another form, with which Redis has ``stored`` records: the command that writes it, and what
        goes with it."""
        log.sent = stored
        self._positions.append((log, self._others_replies))
        self.size += ENTRY_OVERHEAD_BYTES
        self.add_commands(entry)

    def add_commands(self, packed: Packed) -> None:
        """Add commands that write no entry, if any."""
        if not packed.reply_count:
            return
        self._others.append(packed)
        self._others_replies += packed.reply_count
        self.size += len(packed.data)

    def packed(self) -> Packed:
        """Return all commands."""
        appends = Packed(b"".join(self._appends), len(self._appends), b"".join(self._expected))
        return Packed.join([appends, *self._others])

    @property
    def others(self) -> list[ReplicatedLog]:
        """The logs with an entry of another form."""
        return [log for log, _ in self._positions]

    def positions(self) -> Iterator[tuple[ReplicatedLog, int]]:
        """Yield each log that has an entry, and the position of the entry's reply."""
        for position, log in enumerate(self.appended):
            yield log, position
        for log, position in self._positions:
            yield log, len(self.appended) + position


@lru_cache(maxsize=4096)
def packed_id(stored: int) -> bytes:
    """Return the id of the entry with which Redis has ``stored`` records, as an argument and as a reply."""
    entry_id = b"%d-0" % stored
    return b"$%d\r\n%b\r\n" % (len(entry_id), entry_id)
