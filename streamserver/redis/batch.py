"""Entries of many logs, as they go to Redis together."""

from __future__ import annotations

from collections.abc import Sequence

from streamserver.redis._redis_py import Command, Packed, pack
from streamserver.redis.replicated_log import ReplicatedLog


class Batch:
    """Commands that append to logs. Most are of one form, with a reply that can be foretold: the entry's id."""

    __slots__ = ("_can_foretell", "_expected", "_parts", "_reply_count", "sent", "size")

    def __init__(self) -> None:
        self.size = 0
        """The bytes of the records, about."""
        self.sent: list[tuple[ReplicatedLog, int, int]] = []
        """Each log, how many records Redis has with its entry, and the position of the entry's reply."""
        self._parts: list[bytes] = []
        self._expected: list[bytes] = []
        self._reply_count = 0
        self._can_foretell = True

    def append(self, log: ReplicatedLog, stored: int, records: bytes) -> None:
        """Add the entry with which Redis has ``stored`` records, to a log that it has."""
        entry_id = b"%d-0" % stored
        bulk = b"$%d\r\n%b\r\n" % (len(entry_id), entry_id)
        size = len(records)
        self._parts.append(
            b"*6\r\n$4\r\nXADD\r\n%b$10\r\nNOMKSTREAM\r\n%b$1\r\nr\r\n$%d\r\n%b\r\n"
            % (log.key_bulk, bulk, size, records)
        )
        self._expected.append(bulk)
        self.sent.append((log, stored, self._reply_count))
        self._reply_count += 1
        self.size += size

    def add(self, log: ReplicatedLog, stored: int, entry: Sequence[Command]) -> None:
        """Add an entry of another form: the command that writes it, and what goes with it."""
        self.sent.append((log, stored, self._reply_count))
        self.add_commands(entry)

    def add_commands(self, commands: Sequence[Command]) -> None:
        """Add commands that write no entry."""
        if commands:
            data = pack(commands)
            self._parts.append(data)
            self._reply_count += len(commands)
            self._can_foretell = False
            self.size += len(data)

    def packed(self) -> Packed:
        """Return all commands."""
        expected = b"".join(self._expected) if self._can_foretell else None
        return Packed(b"".join(self._parts), self._reply_count, expected)
