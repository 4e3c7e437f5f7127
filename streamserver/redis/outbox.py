"""Commands that must reach Redis in the end, though no task waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from redis.exceptions import ResponseError

from streamserver.redis._redis_py import is_out_of_order
from streamserver.redis.connection import Command, Replies, SharedConnection

OUTBOX_RETRY_SECONDS = 1.0
"""How long to wait before the next attempt when Redis is full or read-only."""


class Outbox:
    """Commands that are sent until Redis has accepted them: a log that is to expire must not stay because Redis was
    away at the wrong moment.

    A second sending must do no harm. Each subject has one set of commands, the latest.
    """

    def __init__(self, connection: SharedConnection) -> None:
        self._connection = connection
        self._pending: dict[str, Sequence[Command]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def send(self, subject: str, *commands: Command) -> None:
        """Send ``commands``, now or as soon as possible."""
        self._pending[subject] = commands
        self._connection.submit(*commands).add_done_callback(lambda replies: self._sent(subject, commands, replies))

    def send_again(self) -> None:
        """Send all that is pending: it could not be sent before, or its reply was lost."""
        self._cancel_timer()
        for subject, commands in list(self._pending.items()):
            self.send(subject, *commands)

    def close(self) -> None:
        """Drop what is pending."""
        self._pending.clear()
        self._cancel_timer()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sent(self, subject: str, commands: Sequence[Command], future: asyncio.Future[Replies]) -> None:
        if self._pending.get(subject) is not commands or future.cancelled() or future.exception() is not None:
            return  # Redis is away; `send_again` is called when it is back
        if not any(isinstance(reply, ResponseError) and not is_out_of_order(reply) for reply in future.result()):
            del self._pending[subject]
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(OUTBOX_RETRY_SECONDS, self.send_again)
