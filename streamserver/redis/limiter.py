"""Limits over all nodes, in Redis."""

from __future__ import annotations

import asyncio
import itertools
import secrets

from loguru import logger

from streamserver.admission.limiter import MINUTE_SECONDS, Quota
from streamserver.core.resources import Resources
from streamserver.redis.charges import Charges
from streamserver.redis.jobs import run_forever
from streamserver.redis.leases import Leases
from streamserver.redis.limit_keys import NOW, slots_key, starts_key, tokens_key
from streamserver.redis.retrying_connection import RetryingConnection
from streamserver.store.base import StoreUnavailable

SLOT_LEASE_SECONDS = 30.0
"""How long the slots of a node that died stay taken."""
RENEW_SECONDS = 10.0
LIMITS_FLUSH_SECONDS = 3.0
"""How long :meth:`RedisLimiter.aclose` waits for pending writes."""

# Checks everything before it changes anything: a refused start does not count. A start that is repeated because the
# reply was lost finds its own lease, and counts once. Returns the limit that is reached, and milliseconds to wait.
_ADMIT = (
    NOW
    + """
local slots, starts, tokens = KEYS[1], KEYS[2], KEYS[3]
local member, lease_ms, window_ms = ARGV[1], ARGV[2], ARGV[3]
local max_streams, requests_per_minute, tokens_per_day = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
if redis.call('ZSCORE', slots, member) then return {'', 0} end
if redis.call('ZCARD', slots) >= max_streams then return {'streams', 1000} end

if tokens_per_day > 0 and tonumber(redis.call('GET', tokens) or 0) >= tokens_per_day then
    return {'tokens', redis.call('PTTL', tokens)}
end

redis.call('ZREMRANGEBYSCORE', starts, '-inf', now - window_ms)
local surplus = redis.call('ZCARD', starts) - requests_per_minute
if surplus >= 0 then
    local start = redis.call('ZRANGE', starts, surplus, surplus, 'WITHSCORES')
    return {'requests', math.ceil(start[2] + window_ms - now)}
end

redis.call('ZADD', slots, now + lease_ms, member)
redis.call('PEXPIRE', slots, lease_ms)
redis.call('ZADD', starts, now, member)
redis.call('PEXPIRE', starts, window_ms)
return {'', 0}
"""
)
_ADMITTED = b"*2\r\n$0\r\n\r\n:0\r\n"
"""The reply to an admission: no limit is reached, and there is nothing to wait for."""


class RedisLimiter:
    """Limits over all nodes. An admission is one script, and one round trip."""

    def __init__(
        self, url: str, *, lease_seconds: float = SLOT_LEASE_SECONDS, renew_seconds: float = RENEW_SECONDS
    ) -> None:
        """Raises :class:`ValueError` if ``url`` is no address of a Redis."""
        self._connection = RetryingConnection(url, self._write)
        self._lease_ms = int(lease_seconds * 1000)
        self._leases = Leases(self._connection, self._lease_ms)
        self._charges = Charges(self._connection)
        self._renew_seconds = renew_seconds
        self._node = secrets.token_urlsafe(8)
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for name, job in (("connection", self._connection.run), ("leases", self._renew)):
            self._tasks.append(
                asyncio.get_running_loop().create_task(
                    run_forever(name, job, "a job of the limits failed"), name=f"limits-{name}"
                )
            )

    async def aclose(self) -> None:
        if not self._tasks:
            return
        self._write()
        try:
            async with asyncio.timeout(LIMITS_FLUSH_SECONDS):
                await self._charges.flush()
                await self._connection.execute(("PING",))  # everything that was sent before has arrived
        except (TimeoutError, StoreUnavailable):
            logger.bind(event="limits").warning("ended before all limits had reached the store")
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def admit(self, account: str, quota: Quota, resources: Resources) -> None:
        slots, starts = slots_key(account), starts_key(account)
        member = f"{self._node}:{next(self._numbers)}"
        limits = (quota.max_streams, quota.requests_per_minute, quota.tokens_per_day)
        arguments = (member, self._lease_ms, MINUTE_SECONDS * 1000, *limits)
        await self._connection.wait_connected()  # a start that was never sent leaves nothing to remove
        try:
            replies = await self._connection.execute(
                ("EVAL", _ADMIT, 3, slots, starts, tokens_key(account), *arguments), expected=_ADMITTED
            )
        except BaseException:
            self._leases.remove((slots, member), (starts, member))  # whether it was counted is unknown
            raise
        if replies is not None:
            ((limit, wait_ms),) = replies
            if limit:
                raise quota.reached(limit.decode(), wait_ms / 1000)
        self._leases.hold(slots, member)
        resources.callback(self._leases.release, slots, member)

    def refund_start(self, account: str) -> None:
        if self._connection.is_connected:
            self._connection.submit(("ZPOPMAX", starts_key(account)))

    def charge(self, account: str, quota: Quota, tokens: int) -> None:
        if quota.tokens_per_day and tokens > 0:
            self._charges.add(account, tokens)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._renew_seconds)
            self._write()

    def _write(self) -> None:
        self._leases.renew()
        self._charges.write()
