"""Messages between processes: each has an inbox in Redis, and one connection that waits on it.

A message only says that there is something to look at, or to do once more; the logs are the truth.
One that is lost costs time, and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
from loguru import logger
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from streamserver.redis.connection import BROKEN, RECONNECT_SECONDS, Command, Dialer, exchange, hang_up
from streamserver.redis.keys import inbox_key

BLOCK_MS = 1000
PATIENCE_SECONDS = 3.0
"""A wait of a second that takes so long is a connection that is dead."""
_MOST_KEPT = 10_000


class Grown(msgspec.Struct, frozen=True, tag=True):
    """To where streams are read: they have new records."""

    streams: list[str]


class Readers(msgspec.Struct, frozen=True, tag=True):
    """To a producer: ``node`` reads so much of each stream; ``all``: and nothing else of yours."""

    node: str
    counts: dict[str, int]
    all: bool = False


class Stop(msgspec.Struct, frozen=True, tag=True):
    """To a producer: end this generation."""

    stream_id: str


Message: TypeAlias = Grown | Readers | Stop

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


def posted(node: str, message: Message) -> Command:
    """The command that sends ``message``. A node that is gone has no inbox, and gets none."""
    return ("XADD", inbox_key(node), "NOMKSTREAM", "MAXLEN", "~", _MOST_KEPT, "*", "m", _encode(message))


def opened(node: str) -> Command:
    """The command that makes an inbox."""
    return ("XADD", inbox_key(node), "MAXLEN", "~", _MOST_KEPT, "*", "m", b"")


class Inbox:
    """Reads what comes for ``node``."""

    def __init__(self, dialer: Dialer, node: str, receive: Callable[[Message], None]) -> None:
        self._dialer = dialer
        self._key = inbox_key(node)
        self._receive = receive
        self._last: bytes = b"0"

    async def run(self) -> None:
        """Read, for ever."""
        while True:
            try:
                connection, _ = await self._dialer.connect()
                try:
                    await self._read(connection)
                finally:
                    await hang_up(connection)
            except BROKEN:
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            async with asyncio.timeout(PATIENCE_SECONDS):
                _, reply = await exchange(
                    connection,
                    [
                        # What has been read is in the way: an inbox of a busy process would hold thousands of lists.
                        ("XTRIM", self._key, "MINID", self._last),
                        ("XREAD", "COUNT", 1000, "BLOCK", BLOCK_MS, "STREAMS", self._key, self._last),
                    ],
                )
            if isinstance(reply, ResponseError):
                raise reply
            for _, entries in reply or ():
                self._take(entries)

    def _take(self, entries: Sequence[tuple[bytes, list[bytes]]]) -> None:
        for entry_id, fields in entries:
            self._last = entry_id
            try:
                message = _decode(fields[1]) if fields[1] else None
            except msgspec.MsgspecError:
                logger.bind(event="store").warning("a message of another node cannot be read")
                continue
            if message is not None:
                self._receive(message)
