"""What Redis has to be told in the end, though nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from redis.exceptions import ResponseError

from streamserver.redis.connection import Command, Link, Replies
from streamserver.redis.replicator import is_out_of_order

REFUSED_SECONDS = 1.0
"""Redis is full, or read-only: when to try again."""


class Errands:
    """Commands about streams, each sent until Redis has taken it: what is to be gone from there must not stay because
    Redis was away at the wrong moment.

    A second sending must do no harm. There is one errand for a stream, the latest.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._left: dict[str, Sequence[Command]] = {}
        self._again: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._left)

    def send(self, stream_id: str, *commands: Command) -> None:
        """Send ``commands`` about a stream, now or as soon as possible."""
        self._left[stream_id] = commands
        self._link.submit(*commands).add_done_callback(lambda replies: self._sent(stream_id, commands, replies))

    def send_again(self) -> None:
        """What could not be sent, or what nobody knows of whether it was."""
        self._wait_no_more()
        for stream_id, commands in list(self._left.items()):
            self.send(stream_id, *commands)

    def close(self) -> None:
        """Leave undone what is left."""
        self._left.clear()
        self._wait_no_more()

    def _wait_no_more(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _sent(self, stream_id: str, commands: Sequence[Command], future: asyncio.Future[Replies]) -> None:
        if self._left.get(stream_id) is not commands or future.cancelled() or future.exception() is not None:
            return  # Redis is away: whoever notices that it is back will send it again
        if not any(isinstance(reply, ResponseError) and not is_out_of_order(reply) for reply in future.result()):
            del self._left[stream_id]
        elif self._again is None:
            self._again = asyncio.get_running_loop().call_later(REFUSED_SECONDS, self.send_again)
