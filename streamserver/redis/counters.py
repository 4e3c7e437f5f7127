"""Counters over all nodes, in Redis, behind the interface of the ``limits`` library."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

from limits.aio.storage.base import MovingWindowSupport, Storage

from streamserver.redis.connection import Replies
from streamserver.redis.limit_keys import NOW, PREFIX
from streamserver.redis.retrying_connection import Line
from streamserver.store.base import StoreUnavailable

REMEMBERED_SECONDS = 3600
"""So long Redis remembers which write of a process it had last."""

# Each write of a process has a number, so that one whose answer was lost is not counted twice.
_ADD = """
if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for i = 2, #KEYS do
    local amount = tonumber(ARGV[2 * i])
    if redis.call('INCRBY', KEYS[i], amount) == amount then redis.call('EXPIRE', KEYS[i], ARGV[2 * i - 1]) end
end
return 1
"""
_INCREASE = """
local count = redis.call('INCRBY', KEYS[1], ARGV[2])
if count == tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count
"""
# A hit is a member of a sorted set, scored by when it was. Who asks again is not counted again.
_HIT = (
    NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
if redis.call('ZSCORE', KEYS[1], ARGV[3]) then return 1 end
if redis.call('ZCARD', KEYS[1]) + #ARGV - 2 > tonumber(ARGV[1]) then return 0 end
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
)
# How many hits there are, and how many milliseconds ago the one was that makes room for another when it goes.
_WINDOW = (
    NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
local count = redis.call('ZCARD', KEYS[1])
local first = math.max(0, count - ARGV[1])
local hit = redis.call('ZRANGE', KEYS[1], first, first, 'WITHSCORES')
return {count, hit[2] and math.floor(now - hit[2]) or 0}
"""
)


class RedisStorage(Storage, MovingWindowSupport):
    """A storage over a :class:`~streamserver.redis.retrying_connection.Line`: the library's own takes a connection for
    each that asks, and counts again what it asks again.

    All raise :class:`~streamserver.store.base.StoreUnavailable`.
    """

    STORAGE_SCHEME = None

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    @property
    def base_exceptions(self) -> type[Exception]:
        return StoreUnavailable

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return int(await self._ask("EVAL", _INCREASE, 1, counter_key(key), expiry, amount))

    async def get(self, key: str) -> int:
        return int(await self._ask("GET", counter_key(key)) or 0)

    async def get_expiry(self, key: str) -> float:
        left_ms = int(await self._ask("PTTL", counter_key(key)))
        return time.time() + max(0, left_ms) / 1000

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        hits = [secrets.token_urlsafe(12) for _ in range(amount)]
        return bool(await self._ask("EVAL", _HIT, 1, window_key(key), limit, expiry * 1000, *hits))

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        count, ago_ms = await self._ask("EVAL", _WINDOW, 1, window_key(key), limit, expiry * 1000)
        return time.time() - ago_ms / 1000, count

    async def clear(self, key: str) -> None:
        await self._ask("DEL", counter_key(key), window_key(key))

    async def check(self) -> bool:
        return self._line.up

    async def reset(self) -> int | None:
        raise NotImplementedError

    async def _ask(self, *command: str | int) -> Any:
        (reply,) = await self._line.ask(command)
        return reply


class RedisCounters:
    """See :class:`~streamserver.admission.limiter.Counters`. :meth:`write` is to be called now and then, and when
    Redis can be reached again: what was added is written once, whatever becomes of the connection."""

    def __init__(self, line: Line) -> None:
        self.storage = RedisStorage(line)
        self.now = time.time
        self._line = line
        self._name = f"{PREFIX}:writer:{secrets.token_urlsafe(8)}"
        self._number = 0
        self._added: dict[str, tuple[int, int]] = {}
        """Key → its expiry, and how much."""
        self._writing: dict[str, tuple[int, int]] = {}
        """The same of what goes under the last number."""
        self._under_way: asyncio.Future[Replies] | None = None

    def add(self, key: str, expiry: int, amount: int) -> None:
        _, before = self._added.get(key, (expiry, 0))
        self._added[key] = (expiry, before + amount)
        self.write()

    def take_back(self, key: str) -> None:
        if self._line.up:
            self._line.tell(("ZPOPMAX", window_key(key)))

    def write(self) -> None:
        """Write what was added, unless something is being written: then it is next."""
        if self._under_way is not None or not self._line.up:
            return
        if not self._writing:
            self._writing, self._added = self._added, {}
            self._number += 1
        if self._writing:
            amounts = [number for pair in self._writing.values() for number in pair]
            keys = [self._name, *map(counter_key, self._writing)]
            self._under_way = self._line.tell(
                ("EVAL", _ADD, len(keys), *keys, self._number, REMEMBERED_SECONDS, *amounts)
            )
            self._under_way.add_done_callback(self._written)

    async def written(self) -> None:
        """Wait until all is written that Redis takes."""
        while self._under_way is not None:
            await asyncio.wait((self._under_way,))

    def _written(self, told: asyncio.Future[Replies]) -> None:
        self._under_way = None
        if told.exception() is None and self._line.accepted(told.result()):
            self._writing = {}
            self.write()


def counter_key(key: str) -> str:
    """A number."""
    return f"{PREFIX}:{key}"


def window_key(key: str) -> str:
    """A sorted set of hits."""
    return f"{PREFIX}:window:{key}"
