"""Limits over all nodes, in Redis.

A stream's slot is a member of its user's sorted set, scored by when its lease ends. The node that runs the stream
renews it; the slots of a node that died end by themselves.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

from limits.aio.storage import RedisStorage
from loguru import logger
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from streamserver.admission.limiter import Limiter
from streamserver.admission.slots import Release
from streamserver.store.base import StoreUnavailable

LEASE_SECONDS = 30.0
"""How long the slots of a node that died stay taken."""
RENEW_SECONDS = 10.0
ANSWER_SECONDS = 2.0
"""How long Redis may take to answer before it counts as away."""
PREFIX = "streamserver:limits"

# Time is Redis' own: the nodes' clocks may differ.
_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
_TAKE = (
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
)
_RENEW = (
    _NOW
    + """
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""
)


def _connection() -> dict[str, Any]:
    """A connection that Redis has closed meanwhile is opened again, once and at once."""
    return {
        "socket_timeout": ANSWER_SECONDS,
        "socket_connect_timeout": ANSWER_SECONDS,
        "retry": Retry(NoBackoff(), 1),
    }


class RedisSlots:
    """See :class:`~streamserver.admission.slots.Slots`. :meth:`run` renews and gives back."""

    def __init__(self, client: Redis, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._client = client
        self._lease_ms = int(lease_seconds * 1000)
        self._node = secrets.token_urlsafe(8)
        self._count = 0
        self._held: dict[str, str] = {}
        """Member → its user's key."""
        self._given_back: list[tuple[str, str]] = []
        self.changed = asyncio.Event()

    async def take(self, user: str, most: int) -> Release | None:
        key = f"{PREFIX}:slots:{user}"
        self._count += 1
        member = f"{self._node}:{self._count}"
        try:
            taken = await self._ask(key, member, most)
        except (RedisError, OSError) as error:
            self._give_back(key, member)
            raise StoreUnavailable from error
        except BaseException:
            self._give_back(key, member)  # cancelled: whether it is taken nobody knows
            raise
        if not taken:
            return None
        self._held[member] = key
        return lambda: self._release(member)

    async def _ask(self, key: str, member: str, most: int) -> bool:
        """What this node has given back is given back first, in the same packet."""
        async with self._client.pipeline(transaction=False) as pipe:
            given_back = self._queue_given_back(pipe)
            pipe.eval(_TAKE, 1, key, member, most, self._lease_ms)
            try:
                return bool((await pipe.execute())[-1])
            except BaseException:
                self._given_back += given_back
                raise

    async def renew(self) -> None:
        """Tell Redis what is given back, and what is still held. Raises :class:`RedisError`."""
        async with self._client.pipeline(transaction=False) as pipe:
            given_back = self._queue_given_back(pipe)
            by_key: dict[str, list[str]] = {}
            for member, key in self._held.items():
                by_key.setdefault(key, []).append(member)
            for key, members in by_key.items():
                pipe.eval(_RENEW, 1, key, self._lease_ms, *members)
            try:
                await pipe.execute()
            except BaseException:
                self._given_back += given_back
                raise

    async def give_back(self) -> None:
        """Tell Redis what is given back. Raises :class:`RedisError`."""
        async with self._client.pipeline(transaction=False) as pipe:
            given_back = self._queue_given_back(pipe)
            try:
                await pipe.execute()
            except BaseException:
                self._given_back += given_back
                raise

    def _queue_given_back(self, pipe: Any) -> list[tuple[str, str]]:
        given_back, self._given_back = self._given_back, []
        for key, member in given_back:
            pipe.zrem(key, member)
        return given_back

    def _release(self, member: str) -> None:
        self._give_back(self._held.pop(member), member)

    def _give_back(self, key: str, member: str) -> None:
        self._given_back.append((key, member))
        self.changed.set()


class RedisCounters:
    """See :class:`~streamserver.admission.limiter.Counters`. What is added is written by :meth:`flush`."""

    def __init__(self, url: str, changed: asyncio.Event) -> None:
        self.storage = RedisStorage(
            f"async+{url}",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=PREFIX,
            **_connection(),
        )
        self._changed = changed
        self._added: list[tuple[str, int, int]] = []

    def now(self) -> float:
        return time.time()

    def add(self, key: str, expiry: int, amount: int) -> None:
        self._added.append((key, expiry, amount))
        self._changed.set()

    async def flush(self) -> None:
        """Write what was added. Raises :class:`limits.errors.StorageError`."""
        while self._added:
            await self.storage.incr(*self._added[0])
            self._added.pop(0)


class RedisLimiter(Limiter):
    """Limits over all nodes."""

    def __init__(self, url: str, *, lease_seconds: float = LEASE_SECONDS, renew_seconds: float = RENEW_SECONDS) -> None:
        """Raises :class:`ValueError` for a ``url`` that is none of a Redis."""
        self._client: Redis = Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
        slots = RedisSlots(self._client, lease_seconds=lease_seconds)
        counters = RedisCounters(url, slots.changed)
        super().__init__(slots, counters)
        self._redis_slots = slots
        self._redis_counters = counters
        self._renew_seconds = renew_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="limits")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self._write(self._redis_slots.give_back)
        await self._client.aclose()
        await self._redis_counters.storage.bridge.storage.aclose()  # type: ignore[attr-defined]

    async def _run(self) -> None:
        """Write changes as they come, and renew the leases in time."""
        loop = asyncio.get_running_loop()
        changed = self._redis_slots.changed
        due = loop.time() + self._renew_seconds
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await changed.wait()
            except TimeoutError:
                pass
            changed.clear()
            if loop.time() >= due:
                due = loop.time() + self._renew_seconds
                await self._write(self._redis_slots.renew)
            else:
                await self._write(self._redis_slots.give_back)

    async def _write(self, what: Any) -> None:
        try:
            await what()
            await self._redis_counters.flush()
        except Exception as error:  # Redis is away: what was to be written waits for the next renewal
            logger.bind(event="limits", kind=type(error).__name__).warning("the limits cannot be written to Redis")
