"""Leases of slots in Redis, and members of its sorted sets that must be removed."""

from __future__ import annotations

import asyncio
from itertools import islice

from streamserver.redis.connection import Replies
from streamserver.redis.limit_keys import NOW
from streamserver.redis.retrying_connection import RetryingConnection

MAX_REMOVALS = 1000
"""How many members are removed with one batch of commands."""

_RENEW = (
    NOW
    + """
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""
)


class Leases:
    """The slots that this process holds. Their leases are renewed; those of a process that died lapse."""

    def __init__(self, connection: RetryingConnection, lease_ms: int) -> None:
        self._connection = connection
        self._lease_ms = lease_ms
        self._held: dict[str, set[str]] = {}
        """Key → members."""
        self._removed: dict[tuple[str, str], None] = {}
        """Keys and members, in order, that Redis has not confirmed as removed."""

    @property
    def unconfirmed(self) -> int:
        """The number of members that Redis has not confirmed as removed."""
        return len(self._removed)

    def hold(self, key: str, member: str) -> None:
        """Renew the lease of ``member`` until it is released."""
        self._held.setdefault(key, set()).add(member)

    def release(self, key: str, member: str) -> None:
        """Give the slot back. Never fails, never blocks."""
        members = self._held[key]
        members.remove(member)
        if not members:
            del self._held[key]
        self.remove((key, member))

    def remove(self, *members: tuple[str, str]) -> None:
        """Remove each member from the sorted set under its key, if it is there, as soon as Redis can be reached."""
        self._removed.update(dict.fromkeys(members))
        self._send_removals(members)

    def renew(self) -> None:
        """Renew what is held, and remove what is not confirmed as removed. To be called well within each lease, and
        on each connection."""
        self._send_removals(self._next_removals())
        if self._connection.is_connected:
            for key, members in self._held.items():
                reply = self._connection.submit(("EVAL", _RENEW, 1, key, self._lease_ms, *members))
                reply.add_done_callback(self._connection.accepted)

    def _next_removals(self) -> tuple[tuple[str, str], ...]:
        return tuple(islice(self._removed, MAX_REMOVALS))

    def _send_removals(self, members: tuple[tuple[str, str], ...]) -> None:
        if members and self._connection.is_connected:
            commands = [("ZREM", key, member) for key, member in members]
            reply = self._connection.submit(*commands, expected=b":1\r\n" * len(members))
            reply.add_done_callback(lambda reply: self._on_removed(members, reply))

    def _on_removed(self, members: tuple[tuple[str, str], ...], reply: asyncio.Future[Replies | None]) -> None:
        if self._connection.accepted(reply):
            for member in members:
                self._removed.pop(member, None)
            if len(members) == MAX_REMOVALS:
                self._send_removals(self._next_removals())
