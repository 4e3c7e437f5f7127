"""Connections to Redis: how they are opened, and the one that all tasks of the process share."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from loguru import logger
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from streamserver.redis._redis_py import (
    BROKEN,
    Command,
    Packed,
    RedisConnection,
    Replies,
    first_word,
    pool_of,
)
from streamserver.redis.keys import PROBE_KEY
from streamserver.redis.pipeline import REPLY_SECONDS, Fail, Pipeline, Receive
from streamserver.redis.readiness import Readiness
from streamserver.store.base import StoreUnavailable

__all__ = [
    "BROKEN",
    "REPLY_SECONDS",
    "Backoff",
    "Command",
    "ConnectionFactory",
    "Packed",
    "RedisConnection",
    "Replies",
    "SharedConnection",
]

_NETWORK_SCHEMES = ("redis", "rediss")
DEFAULT_PORT = 6379
_DATABASE = re.compile("(/[0-9]*)?")
REDIS_CONNECT_SECONDS = 5.0
"""How long opening a connection may take: several round trips, over a way that may be slow."""
RECONNECT_SECONDS = 0.1
MAX_RECONNECT_SECONDS = 0.5


class Backoff:
    """The waits between attempts to connect: twice as long each time, with jitter."""

    def __init__(self) -> None:
        self._seconds = RECONNECT_SECONDS

    async def wait(self) -> None:
        await asyncio.sleep(self._seconds * random.uniform(0.75, 1.25))
        self._seconds = min(2 * self._seconds, MAX_RECONNECT_SECONDS)

    def reset(self) -> None:
        self._seconds = RECONNECT_SECONDS


class ConnectionFactory:
    """A factory of connections to one address. It closes all of them when the server is not the primary any more."""

    def __init__(self, url: str, readiness: Readiness | None = None) -> None:
        """Raises :class:`ValueError` if ``url`` is not the address of a Redis."""
        self._pool = pool_of(url)
        parts = urlsplit(url)
        if parts.scheme in _NETWORK_SCHEMES and not _DATABASE.fullmatch(parts.path):
            # redis-py would take database 0: https://github.com/redis/redis-py/pull/4308
            raise ValueError("not the number of a database")
        self.address = (
            f"{parts.hostname}:{parts.port or DEFAULT_PORT}" if parts.scheme in _NETWORK_SCHEMES else parts.path
        )
        """Where it connects to, without a password, for people."""
        self._open: set[RedisConnection] = set()
        self._anonymous_runs = 0
        self._readiness = readiness
        self.on_drop: list[Callable[[], object]] = []
        """Called when all connections are dropped."""

    async def connect(self) -> tuple[RedisConnection, str]:
        """Return a connection to a server that accepts writes, and an id of the server's run, which differs after a
        restart. Raises one of :data:`BROKEN`."""
        connection = RedisConnection(self._pool, self.drop_all)
        opened = False
        try:
            async with asyncio.timeout(REDIS_CONNECT_SECONDS):
                await connection.open()
                opened = True
                info, probe = await connection.execute([("INFO", "server"), ("SET", PROBE_KEY, "1", "PX", 1000)])
        except BaseException as error:
            command = "AUTH" if isinstance(error, AuthenticationError) else "SET" if opened else "SELECT"
            if self._readiness is not None:
                self._readiness.connection_failed(command, error)
            await connection.close()
            raise
        if self._readiness is not None:
            self._readiness.connected(probe)
        self._open.add(connection)
        return connection, self._run_id(info)

    async def close(self, connection: RedisConnection) -> None:
        self._open.discard(connection)
        await connection.close()

    def drop_all(self) -> None:
        """Close every connection: the address may lead to another server now."""
        for connection in self._open:
            connection.abort()
        for notify in self.on_drop:
            notify()

    def _run_id(self, info: bytes | ResponseError) -> str:
        if not isinstance(info, ResponseError):
            return next((line for line in info.decode().splitlines() if line.startswith("run_id:")), "")
        # Without permission for INFO a restart cannot be detected: each connection counts as one.
        self._anonymous_runs += 1
        if self._anonymous_runs == 1:
            logger.bind(event="store", command="INFO", answer=first_word(info)).warning(
                "the store refuses INFO: each reconnection counts as a restart of the store"
            )
        return f"unknown {self._anonymous_runs}"


class SharedConnection:
    """One connection for all commands of the process. They go in batches: see
    :class:`~streamserver.redis.pipeline.Pipeline`.

    ``epoch`` rises with each connection: a command that must not reach a Redis which may have lost data says for which
    epoch it is. ``on_connected`` is called at the beginning of each, with whether Redis was restarted.
    """

    def __init__(
        self, factory: ConnectionFactory, on_connected: Callable[[bool], None], *, event: str = "store"
    ) -> None:
        """``event`` names its records in the log."""
        self._factory = factory
        self._notify = on_connected
        self._log = logger.bind(event=event)
        self._pipeline: Pipeline | None = None
        self._connected = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._run_id = ""
        self._reported = False
        self.epoch = 0
        self.down_since: float | None = None
        """The loop's time at which it broke, None while it is up."""
        factory.on_drop.append(self._on_dropped)

    @property
    def is_connected(self) -> bool:
        return self._pipeline is not None

    async def wait_connected(self) -> None:
        """Wait until the connection is open."""
        await self._connected.wait()

    async def wait_disconnected(self) -> None:
        """Wait until the connection is lost, or could not be opened."""
        await self._disconnected.wait()

    def probe(self, command: Command) -> None:
        """Send ``command`` if the connection has been silent since the last call: only a command shows that it is
        broken."""
        if self._pipeline is not None and self._pipeline.take_silence():
            self.submit(command)

    def submit(self, *commands: Command, epoch: int | None = None) -> asyncio.Future[Replies]:
        """Send ``commands`` one after the other. The future may be dropped, or awaited for the replies.

        It raises :class:`StoreUnavailable` if Redis is away, or if ``epoch`` is given and is not the present one.
        """
        return self.submit_packed(Packed.of(*commands), epoch=epoch)

    def submit_packed(self, packed: Packed, *, epoch: int | None = None) -> asyncio.Future[Any]:
        """Submit commands as :meth:`submit` does. The result is None if all replies were as expected."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._pipeline is None or (epoch is not None and epoch != self.epoch):
            _fail(future)
        elif not packed.reply_count:
            future.set_result([])  # Redis replies to no command: the connection would count as broken
        else:
            self._pipeline.submit(packed, partial(_resolve, future), partial(_fail, future))
            self._pipeline.schedule()
        return future

    def send(self, packed: Packed, receive: Receive, fail: Fail, *, epoch: int) -> None:
        """Send commands now, or as soon as the replies to others have come, without a future or a task."""
        if self._pipeline is None or epoch != self.epoch:
            fail()
        else:
            self._pipeline.send(packed, receive, fail)

    async def run(self) -> None:
        """Keep the connection open until cancelled."""
        self._note_down()
        backoff = Backoff()
        while True:
            try:
                connection, run_id = await self._factory.connect()
            except BROKEN as error:
                self._report(error)
                await backoff.wait()
                continue
            backoff.reset()
            pipeline = Pipeline(connection)
            try:
                self._on_connected(pipeline, run_id)
                await pipeline.run()
            except BROKEN as error:
                self._report(error)
            finally:
                self._on_disconnected(pipeline)
                await self._factory.close(connection)

    def _on_connected(self, pipeline: Pipeline, run_id: str) -> None:
        restarted = bool(self._run_id) and run_id != self._run_id
        self._run_id = run_id
        self.epoch += 1
        self.down_since = None
        self._pipeline = pipeline
        self._connected.set()
        self._disconnected.clear()
        if self._reported:
            self._log.bind(restarted=restarted).info("the store is back")
        self._reported = False
        self._notify(restarted)

    def _on_disconnected(self, pipeline: Pipeline) -> None:
        self._pipeline = None
        self._connected.clear()
        self._note_down()
        pipeline.close()

    def _note_down(self) -> None:
        self.down_since = asyncio.get_running_loop().time()
        self._disconnected.set()

    def _on_dropped(self) -> None:
        if self._pipeline is not None:  # what dropped it may be an answer to this very connection, which says more
            asyncio.get_running_loop().call_soon(self._pipeline.fail, RedisConnectionError("dropped"))

    def _report(self, error: BaseException) -> None:
        """Log the loss once, not at each attempt."""
        if not self._reported:
            self._reported = True
            facts = {"answer": first_word(error), "reason": _system_reason(error)}
            known = {name: fact for name, fact in facts.items() if fact is not None}
            self._log.bind(address=self._factory.address, error_type=type(error).__name__, **known).warning(
                "the store cannot be reached"
            )


def _system_reason(error: BaseException) -> str | None:
    """Return what the system says about a connection, such as "Connection refused". redis-py's own text may quote
    anything."""
    cause = error.__context__ if isinstance(error, RedisConnectionError) else error
    return os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else None


def _resolve(future: asyncio.Future[Any], replies: Replies | None) -> None:
    if not future.done():
        future.set_result(replies)


def _fail(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(StoreUnavailable())
        future.exception()  # so that asyncio does not report it if nothing awaits the future
