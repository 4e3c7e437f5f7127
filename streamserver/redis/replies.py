"""Replies of Redis, read as they arrive: RESP, version 2."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError

_STRING, _INTEGER, _STATUS, _ERROR, _ARRAY = b"$:+-*"


class ReplyParser:
    """An incremental parser. An error inside or outside of an array is what ``parse_error`` makes of its text.

    https://redis.io/docs/latest/develop/reference/protocol-spec/
    """

    def __init__(self, parse_error: Callable[[str], BaseException]) -> None:
        self._parse_error = parse_error
        self._chunks: list[bytes] = []
        self._missing = 0
        """How many bytes must arrive until there is anything to parse."""
        self._arrays: list[tuple[list[Any], int]] = []
        """The arrays that are not complete, from the outermost to the innermost, each with its length."""

    @property
    def is_parsing(self) -> bool:
        """Whether a reply has come in part."""
        return bool(self._chunks or self._arrays)

    def feed(self, data: bytes) -> list[Any]:
        """Return the replies that ``data`` completes. Raises :class:`~redis.exceptions.InvalidResponse`."""
        if self._chunks:
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data = b"".join(self._chunks)
            self._chunks.clear()
        replies: list[Any] = []
        position, size = 0, len(data)
        self._missing = 1
        while (end := data.find(b"\r\n", position)) >= 0:
            kind = data[position]
            following = end + 2
            value: Any
            if kind == _STRING:
                length = int(data[position + 1 : end])
                if length < 0:
                    value = None
                else:
                    following += length + 2
                    if following > size:
                        self._missing = following - size
                        break
                    value = data[end + 2 : following - 2]
            elif kind == _INTEGER:
                value = int(data[position + 1 : end])
            elif kind == _ARRAY:
                length = int(data[position + 1 : end])
                if length > 0:
                    self._arrays.append(([], length))
                    position = following
                    continue
                value = None if length < 0 else []
            elif kind == _STATUS:
                value = data[position + 1 : end]
            elif kind == _ERROR:
                value = self._parse_error(data[position + 1 : end].decode("utf-8", "replace"))
            else:
                raise InvalidResponse(f"Protocol Error: {data[position:end]!r}")
            position = following
            if self._arrays:
                self._nest(value, replies)
            else:
                replies.append(value)
        if position < size:
            self._chunks.append(data[position:])
        return replies

    def _nest(self, value: Any, replies: list[Any]) -> None:
        """Append ``value`` to the innermost array, and the arrays that it completes to theirs or to ``replies``."""
        while self._arrays:
            array, length = self._arrays[-1]
            array.append(value)
            if len(array) < length:
                return
            self._arrays.pop()
            value = array
        replies.append(value)


class _Waiter(msgspec.Struct, frozen=True):
    """What waits for replies, and is called with them, or with None if they are as expected."""

    reply_count: int
    receive: Callable[[list[Any] | None], object]
    fail: Callable[[Exception], object]


class ReplyProtocol(asyncio.Protocol):
    """The protocol of a connection that is open: it reads the replies, and leaves the rest to ``opener``, the protocol
    that opened it.

    What is sent is written without regard to the transport's buffer: where the next commands wait for the replies to
    the last ones, it holds no more than these.
    """

    def __init__(self, opener: asyncio.Protocol, parser: ReplyParser, check: Callable[[list[Any]], list[Any]]) -> None:
        """``check`` returns the replies that it is given, or raises an error that breaks the connection."""
        self._opener = opener
        self._parser = parser
        self._check_replies = check
        self._replies: deque[Any] = deque()
        self._waiter: _Waiter | None = None
        self._expected: bytes | None = None
        """The next bytes that come, if all goes well; None if they cannot be foretold, or some have come."""
        self._error: Exception | None = None

    async def take(self, count: int) -> list[Any]:
        """Return the next replies. Raises :class:`~redis.exceptions.RedisError` if the connection is lost or of no use.

        A call that is cancelled breaks the connection: the next one would get the replies of this one.
        """
        if len(self._replies) >= count:
            return self._check_replies([self._replies.popleft() for _ in range(count)])
        self.check()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def receive(replies: list[Any] | None) -> None:
            if not future.done():  # cancelled, and about to break the connection
                future.set_result(replies)

        def fail(error: Exception) -> None:
            if not future.done():
                future.set_exception(error)

        self._waiter, self._expected = _Waiter(count, receive, fail), None
        try:
            replies: list[Any] = await future
        except asyncio.CancelledError:
            self._waiter = None
            self._fail(RedisConnectionError("a reply was not awaited"))
            raise
        return replies

    def expect(
        self,
        count: int,
        receive: Callable[[list[Any] | None], object],
        fail: Callable[[Exception], object],
        expected: bytes | None = None,
    ) -> None:
        """Call ``receive`` with the next replies: one caller at a time, and before they can have come.

        If they are, byte by byte, ``expected``, it is called with None: nothing is parsed. Raises
        :class:`~redis.exceptions.RedisError` if the connection is lost, or has got replies to nothing.
        """
        self.check()
        if self._replies or self._parser.is_parsing:
            raise InvalidResponse("a reply to no command")
        self._waiter, self._expected = _Waiter(count, receive, fail), expected

    def check(self) -> None:
        """Raise :class:`~redis.exceptions.RedisError` if the connection is lost."""
        if self._error is not None:
            raise self._error

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            return
        waiter = self._waiter
        if waiter is not None and data == self._expected:
            self._waiter = None
            waiter.receive(None)
            return
        self._expected = None
        try:
            self._replies.extend(self._parser.feed(data))
        except (InvalidResponse, ValueError) as error:
            self._fail(InvalidResponse(str(error)))
            return
        if waiter is not None and len(self._replies) >= waiter.reply_count:
            try:
                replies = self._check_replies([self._replies.popleft() for _ in range(waiter.reply_count)])
            except RedisError as error:
                self._fail(error)
            else:
                self._waiter = None
                waiter.receive(replies)

    def eof_received(self) -> bool | None:
        return False  # close the connection

    def connection_lost(self, exc: Exception | None) -> None:
        lost = RedisConnectionError("Connection closed by server.")
        if len(self._replies) == 1 and isinstance(self._replies[0], RedisError):
            # https://github.com/redis/redis/blob/7.0/src/networking.c, `acceptCommonHandler`
            lost.__cause__ = self._replies[0]
        self._fail(lost)
        self._opener.connection_lost(exc)

    def pause_writing(self) -> None:
        self._opener.pause_writing()

    def resume_writing(self) -> None:
        self._opener.resume_writing()

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.fail(self._error)
