"""The connections to Redis: one that everybody in the process shares, and one to wait on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from loguru import logger
from redis.asyncio.connection import AbstractConnection, ConnectionPool, SSLConnection
from redis.exceptions import RedisError, ResponseError

from streamserver.store.base import StoreUnavailable

_DATABASE = re.compile("(/[0-9]*)?")
REPLY_SECONDS = 2.0
"""Redis answers within this, or is away."""
RECONNECT_SECONDS = 0.2
GOODBYE_SECONDS = 0.5

Command: TypeAlias = Sequence[str | bytes | int]
Replies: TypeAlias = list[Any]
"""One for each command; a :class:`~redis.exceptions.ResponseError` for one that Redis refused."""

BROKEN = (RedisError, OSError, TimeoutError)
"""What a connection that cannot be used any more raises."""


class Dialer:
    """Makes connections to one address. Raises :class:`ValueError` if it is no address of a Redis."""

    def __init__(self, url: str) -> None:
        self._pool = ConnectionPool.from_url(url, protocol=2, socket_timeout=None, driver_info=None)
        if not _DATABASE.fullmatch(urlsplit(url).path):
            raise ValueError("no number of a database")  # the library would take the first one
        try:
            self._pool.make_connection()  # type: ignore[no-untyped-call]
        except TypeError:
            raise ValueError("an option that there is not") from None

    async def connect(self) -> tuple[AbstractConnection, str]:
        """A connection that has answered, and the run of Redis that it is to: another one after a restart."""
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await connection.connect()  # type: ignore[no-untyped-call]
                (info,) = await exchange(connection, [("INFO", "server")])
        except BaseException:
            await hang_up(connection)
            raise
        if isinstance(info, ResponseError):
            await hang_up(connection)
            raise info
        return connection, next((line for line in info.decode().splitlines() if line.startswith("run_id:")), "")


async def exchange(connection: AbstractConnection, commands: Sequence[Command]) -> Replies:
    """Send ``commands`` at once, and read all replies. Raises one of :data:`BROKEN`."""
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    return [await _reply(connection) for _ in commands]


async def hang_up(connection: AbstractConnection) -> None:
    """Close ``connection``, whatever state it is in. One under TLS is waited for as it says goodbye: an event loop that
    is closed meanwhile fails, and the exit of the process with it."""
    with suppress(*BROKEN):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await connection.disconnect(nowait=not isinstance(connection, SSLConnection))


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as refusal:
        return refusal


class Link:
    """One connection for all commands of the process. What is asked while Redis answers goes with the next batch:
    there is never more than one under way, and its size follows the load.

    ``epoch`` rises with each connection: who must not send to a Redis that may have lost something says for
    which epoch a command is. ``on_up`` is called at the beginning of each, with whether Redis had been restarted.
    """

    def __init__(self, dialer: Dialer, on_up: Callable[[bool], None], *, event: str = "store") -> None:
        """``event`` is what its records are called in the log."""
        self._dialer = dialer
        self._on_up = on_up
        self._log = logger.bind(event=event)
        self._queue: list[tuple[Sequence[Command], asyncio.Future[Replies]]] = []
        self._work = asyncio.Event()
        self._is_up = asyncio.Event()
        self._run_id = ""
        self._told = False
        self.epoch = 0
        self.down_since: float | None = None
        """The loop's time at which it broke, None while it is up."""

    @property
    def up(self) -> bool:
        return self._is_up.is_set()

    async def until_up(self) -> None:
        """Wait for Redis."""
        await self._is_up.wait()

    def submit(self, *commands: Command, epoch: int | None = None) -> asyncio.Future[Replies]:
        """Send ``commands`` one after the other. The future may be left alone, or awaited for the replies.

        It raises :class:`StoreUnavailable` if Redis is away, or the link's epoch is not ``epoch``.
        """
        future: asyncio.Future[Replies] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        if not self.up or (epoch is not None and epoch != self.epoch):
            future.set_exception(StoreUnavailable())
        else:
            self._queue.append((commands, future))
            self._work.set()
        return future

    async def run(self) -> None:
        """Keep the connection, for ever."""
        self.down_since = asyncio.get_running_loop().time()
        while True:
            try:
                connection, run_id = await self._dialer.connect()
            except BROKEN as error:
                self._tell(error)
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            try:
                self._rise(run_id)
                await self._work_on(connection)
            except BROKEN as error:
                self._tell(error)
            finally:
                self._fall()
                await hang_up(connection)

    async def _work_on(self, connection: AbstractConnection) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            jobs, self._queue = self._queue, []
            try:
                async with asyncio.timeout(REPLY_SECONDS):
                    replies = await exchange(connection, [command for commands, _ in jobs for command in commands])
            except BaseException:
                self._queue = jobs + self._queue  # to be told with the rest
                raise
            for commands, future in jobs:
                own, replies = replies[: len(commands)], replies[len(commands) :]
                if not future.done():
                    future.set_result(own)

    def _rise(self, run_id: str) -> None:
        restarted = bool(self._run_id) and run_id != self._run_id
        self._run_id = run_id
        self.epoch += 1
        self.down_since = None
        self._is_up.set()
        if self._told:
            self._log.bind(restarted=restarted).info("the store is back")
        self._told = False
        self._on_up(restarted)

    def _fall(self) -> None:
        self._is_up.clear()
        self.down_since = asyncio.get_running_loop().time()
        queue, self._queue = self._queue, []
        for _, future in queue:
            if not future.done():
                future.set_exception(StoreUnavailable())

    def _tell(self, error: BaseException) -> None:
        """Say so once, not at every try. The message may name the address, never a password."""
        if not self._told:
            self._told = True
            self._log.bind(error_type=type(error).__name__).warning("the store cannot be reached")


def _seen(future: asyncio.Future[Replies]) -> None:
    if not future.cancelled():
        future.exception()
