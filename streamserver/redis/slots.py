"""Slots over all nodes, in Redis.

A stream's slot is a member of its user's sorted set, scored by when its lease ends. The node that runs the stream
renews it; the slots of a node that died end by themselves.
"""

from __future__ import annotations

import asyncio
import secrets
from itertools import islice

from streamserver.admission.slots import Release
from streamserver.redis.connection import Replies
from streamserver.redis.limit_keys import NOW, PREFIX
from streamserver.redis.retrying_connection import Line

MOST_AT_ONCE = 1000
"""So many are given back with one packet."""

# Who asks again, because the answer was lost, is not refused for what it has itself taken.
_TAKE = (
    NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 1 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
)
_RENEW = (
    NOW
    + """
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""
)


class RedisSlots:
    """See :class:`~streamserver.admission.slots.Slots`. :meth:`renew` is to be called well within each lease, and
    when Redis can be reached again."""

    def __init__(self, line: Line, *, lease_seconds: float) -> None:
        self._line = line
        self._lease_ms = int(lease_seconds * 1000)
        self._node = secrets.token_urlsafe(8)
        self._count = 0
        self._held: dict[str, str] = {}
        """Member → its user's key."""
        self._given_back: dict[str, str] = {}
        """The same of what Redis has not yet taken back. What is asked while Redis is away never gets here."""

    async def take(self, user: str, most: int) -> Release | None:
        key = f"{PREFIX}:slots:{user}"
        self._count += 1
        member = f"{self._node}:{self._count}"
        await self._line.until_up()
        try:
            (taken,) = await self._line.ask(("EVAL", _TAKE, 1, key, member, most, self._lease_ms))
        except BaseException:
            self._give_back(key, member)  # whether it is taken nobody knows
            raise
        if not taken:
            return None
        self._held[member] = key
        return lambda: self._give_back(self._held.pop(member), member)

    def renew(self) -> None:
        """Tell Redis what is given back, and what is still held."""
        self._tell_given_back(list(islice(self._given_back, MOST_AT_ONCE)))
        if not self._line.up:
            return
        by_key: dict[str, list[str]] = {}
        for member, key in self._held.items():
            by_key.setdefault(key, []).append(member)
        for key, members in by_key.items():
            told = self._line.tell(("EVAL", _RENEW, 1, key, self._lease_ms, *members))
            told.add_done_callback(self._renewed)

    def _renewed(self, told: asyncio.Future[Replies]) -> None:
        if told.exception() is None:
            self._line.accepted(told.result())

    def _give_back(self, key: str, member: str) -> None:
        self._given_back[member] = key
        self._tell_given_back([member])

    def _tell_given_back(self, members: list[str]) -> None:
        """What does not reach Redis is told again."""
        if members and self._line.up:
            told = self._line.tell(*(("ZREM", self._given_back[member], member) for member in members))
            told.add_done_callback(lambda told: self._taken_back(members, told))

    def _taken_back(self, members: list[str], told: asyncio.Future[Replies]) -> None:
        if told.exception() is None and self._line.accepted(told.result()):
            for member in members:
                self._given_back.pop(member, None)
            if len(members) == MOST_AT_ONCE:
                self._tell_given_back(list(islice(self._given_back, MOST_AT_ONCE)))
