"""Connections to Redis: how they are opened, and the one that all tasks of the process share."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeAlias
from urllib.parse import urlsplit

from loguru import logger
from redis.exceptions import AuthenticationError, ResponseError

from streamserver.redis._redis_py import BROKEN, Command, RedisConnection, Replies, first_word, pool_of
from streamserver.redis.keys import PROBE_KEY
from streamserver.redis.readiness import Readiness
from streamserver.store.base import StoreUnavailable

__all__ = ["BROKEN", "Backoff", "Command", "ConnectionFactory", "RedisConnection", "Replies", "SharedConnection"]

_DATABASE = re.compile("(/[0-9]*)?")
REPLY_SECONDS = 1.75
"""How long a reply may take before the connection counts as broken. Shorter than the lease of a heartbeat."""
REDIS_CONNECT_SECONDS = 5.0
"""How long opening a connection may take: several round trips, over a way that may be slow."""
BATCH_COMMANDS = 1000
"""How many commands are sent at once, and those of one submission more: their replies share one limit of time."""
RECONNECT_SECONDS = 0.1
MAX_RECONNECT_SECONDS = 0.5


class Backoff:
    """The waits between tries to connect: twice as long each time, with jitter."""

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
        if not _DATABASE.fullmatch(urlsplit(url).path):
            # redis-py would take database 0: https://github.com/redis/redis-py/pull/4308
            raise ValueError("not the number of a database")
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


_Job: TypeAlias = tuple[Sequence[Command], "asyncio.Future[Replies]"]


class SharedConnection:
    """One connection for all commands of the process. What is submitted while Redis answers goes with the next batch:
    one batch is under way at a time, and its size follows the load.

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
        self._queue: list[_Job] = []
        self._work = asyncio.Event()
        self._connected = asyncio.Event()
        self._run_id = ""
        self._reported = False
        self.epoch = 0
        self.down_since: float | None = None
        """The loop's time at which it broke, None while it is up."""
        factory.on_drop.append(self._work.set)

    @property
    def is_connected(self) -> bool:
        return self._connected.is_set()

    @property
    def idle(self) -> bool:
        """Whether no command awaits a reply; a broken connection would then go unnoticed."""
        return not self._queue

    async def wait_connected(self) -> None:
        """Wait until the connection is open."""
        await self._connected.wait()

    def submit(self, *commands: Command, epoch: int | None = None) -> asyncio.Future[Replies]:
        """Send ``commands`` one after the other. The future may be dropped, or awaited for the replies.

        It raises :class:`StoreUnavailable` if Redis is away, or if ``epoch`` is given and is not the present one.
        """
        future: asyncio.Future[Replies] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_retrieve)
        if not self.is_connected or (epoch is not None and epoch != self.epoch):
            future.set_exception(StoreUnavailable())
        else:
            self._queue.append((commands, future))
            self._work.set()
        return future

    async def run(self) -> None:
        """Keep the connection open until cancelled."""
        self.down_since = asyncio.get_running_loop().time()
        backoff = Backoff()
        while True:
            try:
                connection, run_id = await self._factory.connect()
            except BROKEN as error:
                self._report(error)
                await backoff.wait()
                continue
            backoff.reset()
            try:
                self._on_connected(run_id)
                await self._serve(connection)
            except BROKEN as error:
                self._report(error)
            finally:
                self._on_disconnected()
                await self._factory.close(connection)

    async def _serve(self, connection: RedisConnection) -> None:
        while True:
            await self._work.wait()
            jobs = self._next_jobs()
            try:
                async with asyncio.timeout(REPLY_SECONDS):
                    replies = iter(await connection.execute([command for commands, _ in jobs for command in commands]))
            except BaseException:
                self._queue = jobs + self._queue  # fail them with the rest
                raise
            for commands, future in jobs:
                own = list(islice(replies, len(commands)))
                if not future.done():
                    future.set_result(own)

    def _next_jobs(self) -> list[_Job]:
        """Take the oldest submissions from the queue."""
        size = number = 0
        while number < len(self._queue) and size < BATCH_COMMANDS:
            size += len(self._queue[number][0])
            number += 1
        jobs, self._queue = self._queue[:number], self._queue[number:]
        if not self._queue:
            self._work.clear()
        return jobs

    def _on_connected(self, run_id: str) -> None:
        restarted = bool(self._run_id) and run_id != self._run_id
        self._run_id = run_id
        self.epoch += 1
        self.down_since = None
        self._connected.set()
        if self._reported:
            self._log.bind(restarted=restarted).info("the store is back")
        self._reported = False
        self._notify(restarted)

    def _on_disconnected(self) -> None:
        self._connected.clear()
        self.down_since = asyncio.get_running_loop().time()
        queue, self._queue = self._queue, []
        for _, future in queue:
            if not future.done():
                future.set_exception(StoreUnavailable())

    def _report(self, error: BaseException) -> None:
        """Log the loss once, not at each try. The error's text may name the address, never a password."""
        if not self._reported:
            self._reported = True
            word = first_word(error)
            facts = {"answer": word} if word else {}
            self._log.bind(error_type=type(error).__name__, **facts).warning("the store cannot be reached")


def _retrieve(future: asyncio.Future[Replies]) -> None:
    if not future.cancelled():
        future.exception()
