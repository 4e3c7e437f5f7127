"""Limits over all nodes, in Redis: their parts, wired together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from loguru import logger

from streamserver.admission.limiter import Limiter
from streamserver.redis.counters import RedisCounters
from streamserver.redis.retrying_connection import Line
from streamserver.redis.slots import RedisSlots
from streamserver.store.base import StoreUnavailable
from streamserver.telemetry.tracebacks import log_crash

LEASE_SECONDS = 30.0
"""How long the slots of a node that died stay taken."""
RENEW_SECONDS = 10.0
FLUSH_SECONDS = 3.0
"""How long an end waits for what is still to be written."""


class RedisLimiter(Limiter):
    """Limits over all nodes."""

    def __init__(self, url: str, *, lease_seconds: float = LEASE_SECONDS, renew_seconds: float = RENEW_SECONDS) -> None:
        """Raises :class:`ValueError` for a ``url`` that is none of a Redis."""
        self._line = Line(url, self._write)
        self._redis_slots = RedisSlots(self._line, lease_seconds=lease_seconds)
        self._redis_counters = RedisCounters(self._line)
        super().__init__(self._redis_slots, self._redis_counters)
        self._renew_seconds = renew_seconds
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for name, job in (("link", self._line.run), ("leases", self._renew)):
            self._tasks.append(asyncio.get_running_loop().create_task(_for_ever(name, job), name=f"limits-{name}"))

    async def aclose(self) -> None:
        if not self._tasks:
            return
        self._write()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._redis_counters.written()
                await self._line.ask(("PING",))  # all that was told before has arrived
        except (TimeoutError, StoreUnavailable):
            logger.bind(event="limits").warning("ended before all limits had reached the store")
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._renew_seconds)
            self._write()

    def _write(self) -> None:
        """Tell Redis what is held, what is given back and what was used."""
        self._redis_slots.renew()
        self._redis_counters.write()


async def _for_ever(name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A bug in one of the jobs is told, and the job goes on: every start depends on it."""
    while True:
        try:
            await job()
        except Exception as error:
            log_crash("a job of the limits failed", error, job=name)
            await asyncio.sleep(1)
