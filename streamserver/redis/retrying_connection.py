"""A connection to Redis that repeats commands after a reconnect; all admissions of the process share it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from loguru import logger
from redis.exceptions import ResponseError

from streamserver.redis.connection import Command, ConnectionFactory, Packed, Replies, SharedConnection
from streamserver.store.base import StoreUnavailable

RECONNECT_LIMIT_SECONDS = 1.0
"""How long a command waits for a lost connection to be opened again before it fails."""


class RetryingConnection:
    """One connection, and one batch of commands at a time, for any number of concurrent callers."""

    def __init__(self, url: str, on_connected: Callable[[], None]) -> None:
        """``on_connected`` is called on each connection. Raises :class:`ValueError` if ``url`` is no address of a
        Redis."""
        self._connection = SharedConnection(ConnectionFactory(url), lambda _: self._on_connected(), event="limits")
        self._notify = on_connected
        self._reported = False
        self.run = self._connection.run
        """Keep the connection open, until cancelled."""

    @property
    def is_connected(self) -> bool:
        return self._connection.is_connected

    async def wait_connected(self) -> None:
        """Wait for a connection that was just lost, or not yet opened. Raises
        :class:`~streamserver.store.base.StoreUnavailable` if Redis stays away."""
        if self._connection.is_connected:
            return
        loop = asyncio.get_running_loop()
        since = self._connection.down_since
        try:
            async with asyncio.timeout_at((loop.time() if since is None else since) + RECONNECT_LIMIT_SECONDS):
                await self._connection.wait_connected()
        except TimeoutError:
            raise StoreUnavailable from None

    async def execute(self, *commands: Command, expected: bytes | None = None) -> Replies | None:
        """Return the replies to ``commands``, or None if they are, byte by byte, ``expected``.

        The commands must be idempotent: they are sent again on a new connection if the first one is lost, as in a
        restart of Redis. Raises :class:`~streamserver.store.base.StoreUnavailable`, also if Redis rejects a command.
        """
        packed = Packed.of(*commands, expected=expected)
        await self.wait_connected()
        reply = self._connection.submit_packed(packed)
        try:
            await reply
        except StoreUnavailable:
            await self.wait_connected()
            reply = self._connection.submit_packed(packed)
            await reply
        if not self.accepted(reply):
            raise StoreUnavailable
        replies: Replies | None = reply.result()
        return replies

    def submit(self, *commands: Command, expected: bytes | None = None) -> asyncio.Future[Any]:
        """Send ``commands`` once, before everything that is sent later. The future, of what :meth:`execute` returns,
        can be ignored."""
        return self._connection.submit_packed(Packed.of(*commands, expected=expected))

    def accepted(self, reply: asyncio.Future[Any]) -> bool:
        """Return whether a finished ``reply`` arrived and Redis carried out all its commands. The first rejection on
        each connection is logged."""
        if reply.exception() is not None:
            return False
        rejected = [each for each in reply.result() or () if isinstance(each, ResponseError)]
        if rejected and not self._reported:
            self._reported = True
            error_type = type(rejected[0]).__name__
            logger.bind(event="limits", error_type=error_type).warning("the store rejected a command of the limits")
        return not rejected

    def _on_connected(self) -> None:
        self._reported = False
        self._notify()
