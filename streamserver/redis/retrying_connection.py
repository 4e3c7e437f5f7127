"""The limits' connection to Redis, which all of the process's admissions share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from loguru import logger
from redis.exceptions import ResponseError

from streamserver.redis.connection import Command, Dialer, Link, Replies
from streamserver.store.base import StoreUnavailable

REOPEN_SECONDS = 1.0
"""So long a connection that broke may take to be opened again, before who needs it is refused."""


class Line:
    """Asks Redis. However many ask at once, they share one connection, and one packet while Redis answers."""

    def __init__(self, url: str, on_up: Callable[[], None]) -> None:
        """``on_up`` is called when Redis can be reached (again). Raises :class:`ValueError` for a ``url`` that is
        none of a Redis."""
        self._link = Link(Dialer(url), lambda _: self._rise(), event="limits")
        self._on_up = on_up
        self._told = False
        self.run = self._link.run
        """Keeps the connection, for ever."""

    @property
    def up(self) -> bool:
        return self._link.up

    async def until_up(self) -> None:
        """Wait for a connection that has just broken, or was never there. Raises
        :class:`~streamserver.store.base.StoreUnavailable` if Redis is away."""
        loop = asyncio.get_running_loop()
        since = self._link.down_since
        try:
            async with asyncio.timeout_at((loop.time() if since is None else since) + REOPEN_SECONDS):
                await self._link.until_up()
        except TimeoutError:
            raise StoreUnavailable from None

    async def ask(self, *commands: Command) -> Replies:
        """The replies to ``commands``. They may be sent twice: a connection that Redis has closed meanwhile, as it
        does in a restart, costs nobody a refusal.

        Raises :class:`~streamserver.store.base.StoreUnavailable`, also if Redis refuses one.
        """
        await self.until_up()
        try:
            replies = await self._link.submit(*commands)
        except StoreUnavailable:
            await self.until_up()
            replies = await self._link.submit(*commands)
        if not self.accepted(replies):
            raise StoreUnavailable
        return replies

    def tell(self, *commands: Command) -> asyncio.Future[Replies]:
        """Send ``commands``, if Redis can be reached, before all that is asked later."""
        return self._link.submit(*commands)

    def accepted(self, replies: Replies) -> bool:
        """Whether Redis refused none. The first that it does after each connecting is told."""
        refused = [reply for reply in replies if isinstance(reply, ResponseError)]
        if refused and not self._told:
            self._told = True
            logger.bind(event="limits", error_type=type(refused[0]).__name__).warning("the store refuses the limits")
        return not refused

    def _rise(self) -> None:
        self._told = False
        self._on_up()
