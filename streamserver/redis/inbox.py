"""Messages between processes: each has an inbox in Redis, and one connection that waits on it.

A message says only that there is something to look at, or to do once more; the logs are the truth.
A message that is lost costs time, one that comes twice costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import msgspec
from loguru import logger
from redis.exceptions import ResponseError

from streamserver.redis._redis_py import Entries
from streamserver.redis.connection import BROKEN, REPLY_SECONDS, Backoff, Command, ConnectionFactory, RedisConnection
from streamserver.redis.keys import inbox_key

BLOCK_MS = 1000
_MOST_KEPT = 10_000


class Grown(msgspec.Struct, frozen=True, tag=True):
    """A message to a node that reads these streams: they have new records."""

    streams: list[str]


class Readers(msgspec.Struct, frozen=True, tag=True):
    """A message to a producer: the readers that ``node`` has of each stream. ``all``: it has none of any other."""

    node: str
    counts: dict[str, int]
    all: bool = False


class Stop(msgspec.Struct, frozen=True, tag=True):
    """A message to a producer: end this generation."""

    stream_id: str


Message: TypeAlias = Grown | Readers | Stop

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


def message_command(node: str, message: Message) -> Command:
    """Return the command that sends ``message``. It does not create an inbox for a dead node."""
    return ("XADD", inbox_key(node), "NOMKSTREAM", "MAXLEN", "~", _MOST_KEPT, "*", "m", _encode(message))


def inbox_exists_command(node: str) -> Command:
    """Return the command that asks whether Redis has a node's inbox."""
    return ("EXISTS", inbox_key(node))


def create_inbox_command(node: str) -> Command:
    """Return the command that makes an inbox."""
    return ("XADD", inbox_key(node), "MAXLEN", "~", _MOST_KEPT, "*", "m", b"")


class Inbox:
    """A receiver of the messages for ``node``.

    Each read begins at the oldest message, and messages that were read are deleted. No position is kept: a Redis that
    comes back empty, with a clock that is behind, gives new messages lower ids.
    """

    def __init__(self, factory: ConnectionFactory, node: str, receive: Callable[[Message], None]) -> None:
        self._factory = factory
        self._key = inbox_key(node)
        self._receive = receive

    async def run(self) -> None:
        """Receive until cancelled."""
        backoff = Backoff()
        while True:
            try:
                connection, _ = await self._factory.connect()
                try:
                    async for entries in self._read(connection):
                        backoff.reset()
                        self._take(entries)
                finally:
                    await self._factory.close(connection)
            except BROKEN:
                await backoff.wait()

    async def _read(self, connection: RedisConnection) -> AsyncIterator[Entries]:
        wait: Command = ("XREAD", "COUNT", 1000, "BLOCK", BLOCK_MS, "STREAMS", self._key, "0")
        received: list[bytes] = []
        while True:
            delete: list[Command] = [("XDEL", self._key, *received)] if received else []
            async with asyncio.timeout(REPLY_SECONDS + BLOCK_MS / 1000):
                replies = await connection.execute([*delete, wait])
            for reply in replies:
                if isinstance(reply, ResponseError):
                    raise reply
            entries: Entries = replies[-1][0][1] if replies[-1] else ()
            received = [entry_id for entry_id, _ in entries]
            yield entries

    def _take(self, entries: Entries) -> None:
        for _, fields in entries:
            try:
                message = _decode(fields[1]) if fields[1] else None
            except msgspec.MsgspecError:
                logger.bind(event="store").warning("a message of another node cannot be read")
                continue
            if message is not None:
                self._receive(message)
