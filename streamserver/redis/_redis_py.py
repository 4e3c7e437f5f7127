"""What this package uses of redis-py beside its documented interface, in one place.

Each process needs connections that send many commands in one packet, read the replies as they come, and never
reconnect by themselves. redis-py's client does not offer that; its connection class does, with methods that its
documentation does not describe.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from redis.asyncio.connection import AbstractConnection, ConnectionPool, SSLConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

Command: TypeAlias = Sequence[str | bytes | int | float]
Entries: TypeAlias = Sequence[tuple[bytes, list[bytes]]]
"""Entries of a Redis stream: the id of each, then its fields and values in turn."""
Replies: TypeAlias = list[Any]
"""One for each command; a :class:`~redis.exceptions.ResponseError` for one that Redis refused."""

BROKEN = (RedisError, OSError, TimeoutError)
"""What a connection raises that cannot be used any more."""
CLOSE_TIMEOUT_SECONDS = 0.5

NOT_PRIMARY = frozenset({"READONLY", "MASTERDOWN", "LOADING", "UNBLOCKED"})
"""First words of answers that say that another server is the primary now, or that this one is starting."""

# redis-py removes the first word from the text of an error that it has a class for, and keeps it as `status_code`
# (since 6.3): https://github.com/redis/redis-py/blob/master/redis/_parsers/base.py, `parse_error`.
_ERROR_WORDS: tuple[tuple[type[RedisError], str], ...] = (
    (NoPermissionError, "NOPERM"),
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (BusyLoadingError, "LOADING"),
    (MasterDownError, "MASTERDOWN"),
    (AuthenticationError, "WRONGPASS"),
)
# Before Redis 7 a refusal inside a script is in the middle of the script's error:
# https://github.com/redis/redis/blob/6.2/src/scripting.c, `luaRedisGenericCommand`.
_IN_SCRIPT = re.compile(r"Error running script .*?: -([A-Z]+) ", re.DOTALL)
_FIRST_WORD = re.compile("[A-Z]+")


class NotPrimary(RedisConnectionError):
    """An answer of Redis that it accepts no writes, because it is a replica or starting. Its connections are of no use
    any more, although they work: the address may lead to another server now."""


def first_word(error: BaseException) -> str | None:
    """Return the first word of Redis' answer, such as ``NOPERM``; None if the error is no answer of Redis."""
    word = getattr(error, "status_code", None)
    if word is None:
        word = next((word for kind, word in _ERROR_WORDS if isinstance(error, kind)), None)
    if word is None and isinstance(error, ResponseError):
        found = _FIRST_WORD.match(str(error))
        word = found[0] if found else "ERR"
    if word == "ERR" and (inner := _IN_SCRIPT.search(str(error))):
        return inner[1]
    return word


def is_out_of_order(refusal: ResponseError) -> bool:
    """Return whether Redis has an entry of that id, or a later one: perhaps a fence.

    The texts are those of https://github.com/redis/redis/blob/7.0/src/t_stream.c, `xaddCommand`.
    """
    return "equal or smaller" in str(refusal) or "exhausted the last possible ID" in str(refusal)


def pack(commands: Sequence[Command]) -> bytes:
    """Return ``commands`` as Redis reads them. redis-py's own packing takes three times as long:
    https://github.com/redis/redis-py/blob/master/redis/connection.py, ``PythonRespSerializer.pack``."""
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for value in command:
            data = value if isinstance(value, bytes) else str(value).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def pool_of(url: str) -> ConnectionPool:
    """Return redis-py's reading of an address. Raises :class:`ValueError`."""
    pool: ConnectionPool = ConnectionPool.from_url(url, protocol=2, socket_timeout=None, driver_info=None)
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]
    except TypeError:
        raise ValueError("an option that does not exist") from None
    return pool


class RedisConnection:
    """One connection, which is never opened again."""

    def __init__(self, pool: ConnectionPool, on_not_primary: Callable[[], object]) -> None:
        self._raw: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        self._on_not_primary = on_not_primary
        self.closed = False

    async def open(self) -> None:
        """Connect, and authenticate. Raises one of :data:`BROKEN`, also if Redis refuses."""
        await self._raw.connect()  # type: ignore[no-untyped-call]

    async def execute(self, commands: Sequence[Command]) -> Replies:
        """Send ``commands`` at once, and read all replies. Raises one of :data:`BROKEN`."""
        await self.send(commands)
        return [await self.read() for _ in commands]

    async def send(self, commands: Sequence[Command]) -> None:
        # redis-py would open it again:
        # https://github.com/redis/redis-py/blob/master/redis/asyncio/connection.py, `send_packed_command`.
        if self.closed:
            raise RedisConnectionError("closed")
        await self._raw.send_packed_command(pack(commands), check_health=False)

    async def read(self) -> Any:
        """Return the next reply. Raises :class:`NotPrimary` for one that no other connection need wait for."""
        if self.closed:
            raise RedisConnectionError("closed")
        try:
            return await self._raw.read_response()
        except ResponseError as refusal:
            if first_word(refusal) in NOT_PRIMARY:
                self._on_not_primary()
                raise NotPrimary(first_word(refusal), status_code=first_word(refusal)) from None
            return refusal

    def abort(self) -> None:
        """Close the connection now; tasks that use it get one of :data:`BROKEN`."""
        self.closed = True
        # `disconnect` would have to be awaited: a task that reads is woken by the end of the stream.
        writer = getattr(self._raw, "_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def close(self) -> None:
        """Close the connection, in whatever state it is. One under TLS is waited for: an event loop that is closed
        meanwhile fails, and the exit of the process with it."""
        self.closed = True
        with suppress(*BROKEN):
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self._raw.disconnect(nowait=not isinstance(self._raw, SSLConnection))
