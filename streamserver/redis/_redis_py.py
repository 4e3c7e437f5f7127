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
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

import msgspec
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

from streamserver.redis.replies import ReplyParser, ReplyProtocol

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
    """Return the first word of Redis' answer, such as ``NOPERM``; None if the error is no answer of Redis.

    The answer may be the reason that a lost connection has as its cause.
    """
    if isinstance(error, RedisConnectionError) and isinstance(error.__cause__, RedisError):
        error = error.__cause__
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


@cache
def _frame(length: int) -> bytes:
    """Return the format of a command of ``length`` values, each preceded by its size."""
    return b"*%d\r\n" % length + b"$%d\r\n%b\r\n" * length


def pack(commands: Sequence[Command]) -> bytes:
    """Return ``commands`` as Redis reads them. redis-py's own packing takes several times as long:
    https://github.com/redis/redis-py/blob/master/redis/connection.py, ``PythonRespSerializer.pack``."""
    parts: list[bytes] = []
    for command in commands:
        if bytes not in map(type, command):  # as in most commands: each value is converted without a loop in Python
            values = list(map(str.encode, map(str, command)))
        else:
            values = [value if isinstance(value, bytes) else str(value).encode() for value in command]
        parts.append(_frame(len(values)) % tuple(chain.from_iterable(zip(map(len, values), values, strict=True))))
    return b"".join(parts)


class Packed(msgspec.Struct, frozen=True):
    """Commands as Redis reads them."""

    data: bytes
    reply_count: int
    expected: bytes | None = None
    """The bytes of the replies if all goes well; None if they cannot be foretold."""

    @classmethod
    def of(cls, *commands: Command, expected: bytes | None = None) -> Packed:
        """Return ``commands``, packed. ``expected`` are the bytes of their replies if all goes well."""
        return cls(pack(commands), len(commands), expected)

    @classmethod
    def join(cls, parts: Sequence[Packed]) -> Packed:
        """Return the commands of all ``parts``, one after the other."""
        if len(parts) == 1:
            return parts[0]
        expected = [packed.expected for packed in parts if packed.expected is not None]
        return cls(
            b"".join([packed.data for packed in parts]),
            sum([packed.reply_count for packed in parts]),
            b"".join(expected) if len(expected) == len(parts) else None,
        )


def pool_of(url: str) -> ConnectionPool:
    """Return redis-py's reading of an address. Raises :class:`ValueError`."""
    pool: ConnectionPool = ConnectionPool.from_url(url, protocol=2, socket_timeout=None, driver_info=None)
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, AttributeError, RedisError):
        raise ValueError("an option that does not exist, or a value that it does not take") from None
    return pool


class RedisConnection:
    """One connection, which is never opened again.

    redis-py opens it. Its reading of a reply runs through half a dozen coroutines for each, under a limit of time of
    its own; here a protocol reads all that have come.
    """

    def __init__(self, pool: ConnectionPool, on_not_primary: Callable[[], object]) -> None:
        self._raw: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        self._on_not_primary = on_not_primary
        self._transport: asyncio.Transport | None = None
        self._protocol: ReplyProtocol | None = None
        self._begun: asyncio.Queue[tuple[Packed, Callable[[Replies | None], object]] | None] = asyncio.Queue()
        """What :meth:`serve` is to do; None at the end."""
        self.closed = False

    async def open(self) -> None:
        """Connect, and authenticate. Raises one of :data:`BROKEN`, also if Redis refuses."""
        await self._raw.connect()  # type: ignore[no-untyped-call]
        # https://github.com/redis/redis-py/blob/master/redis/asyncio/connection.py, `AbstractConnection.__init__`
        transport = getattr(getattr(self._raw, "_writer", None), "transport", None)
        if transport is not None:
            self._take_over(transport)

    async def execute(self, commands: Sequence[Command]) -> Replies:
        """Send ``commands`` at once, and read all replies. Raises one of :data:`BROKEN`."""
        await self.send(commands)
        return await self.read_all(len(commands))

    async def read_all(self, count: int) -> Replies:
        """Return the next replies, as :meth:`read` does."""
        if self._protocol is None:
            return [await self.read() for _ in range(count)]
        return await self._protocol.take(count)

    async def send(self, commands: Sequence[Command]) -> None:
        # redis-py would open it again:
        # https://github.com/redis/redis-py/blob/master/redis/asyncio/connection.py, `send_packed_command`.
        if self.closed:
            raise RedisConnectionError("closed")
        if self._transport is None or self._protocol is None:
            await self._raw.send_packed_command(pack(commands), check_health=False)
        else:
            self._protocol.check()
            self._transport.write(pack(commands))

    async def read(self) -> Any:
        """Return the next reply. Raises :class:`NotPrimary` for one that no other connection need wait for."""
        if self.closed:
            raise RedisConnectionError("closed")
        if self._protocol is not None:
            return (await self._protocol.take(1))[0]
        try:
            return await self._raw.read_response()
        except ResponseError as refusal:
            return self._checked([refusal])[0]

    def begin(
        self, packed: Packed, receive: Callable[[Replies | None], object], fail: Callable[[Exception], object]
    ) -> None:
        """Send commands, and have ``receive`` called with the replies, or with None if all are as expected.

        Nothing else may be sent until then. If the connection is lost, ``fail`` is called with one of :data:`BROKEN`,
        or it is raised here.
        """
        if self.closed:
            raise RedisConnectionError("closed")
        if self._transport is None or self._protocol is None:
            self._begun.put_nowait((packed, receive))
        else:
            self._protocol.expect(packed.reply_count, receive, fail, packed.expected)
            self._transport.write(packed.data)

    async def serve(self) -> None:
        """Do what was begun by means of redis-py's coroutines, where the replies could not be taken over; else return.

        Raises one of :data:`BROKEN`.
        """
        while self._protocol is None:
            begun = await self._begun.get()
            if begun is None:
                raise RedisConnectionError("closed")
            packed, receive = begun
            await self._raw.send_packed_command(packed.data, check_health=False)
            receive([await self.read() for _ in range(packed.reply_count)])

    def _take_over(self, transport: asyncio.Transport) -> None:
        """Read the replies from now on: none is awaited at this moment."""
        opener = transport.get_protocol()
        assert isinstance(opener, asyncio.Protocol)
        parse_error = getattr(getattr(self._raw, "_parser", None), "parse_error", ResponseError)
        self._transport, self._protocol = transport, ReplyProtocol(opener, ReplyParser(parse_error), self._checked)
        transport.set_protocol(self._protocol)

    def _checked(self, replies: Replies) -> Replies:
        """Return ``replies``. Raises an error among them that concerns the connection and not one command."""
        for reply in replies:
            if isinstance(reply, RedisError):
                self._check(reply)
        return replies

    def _check(self, refusal: RedisError) -> None:
        if not isinstance(refusal, ResponseError):
            raise refusal
        word = first_word(refusal)
        if word in NOT_PRIMARY:
            self._on_not_primary()
            raise NotPrimary(word, status_code=word)

    def abort(self) -> None:
        """Close the connection now; tasks that use it get one of :data:`BROKEN`."""
        self.closed = True
        self._begun.put_nowait(None)
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
