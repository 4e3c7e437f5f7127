"""When a connection is dead, when to try again, and when to give up."""

from __future__ import annotations

import asyncio
import random

from streamserver.client.errors import StreamError

SILENCE = 1.8
"""After this many ``keepalive_seconds`` without a byte the connection is dead: the server sends a ping after one."""
DEFAULT_KEEPALIVE_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.25
MAX_KEEPALIVE_SECONDS = 200.0
MAX_PAUSE_SECONDS = 5.0


class Reconnection:
    """The times of an answer's connections, in seconds, and what the server has said against one since it was heard."""

    def __init__(self, keepalive_seconds: float, give_up_after: float) -> None:
        self.keepalive_seconds = keepalive_seconds
        self.give_up_after = give_up_after
        self.refusal: StreamError | None = None
        """The last one that may pass, since the server was heard."""
        self._silent_since: float | None = None
        """When trying to reach the server began; None while it is heard."""
        self._failures = 0

    def begin(self) -> None:
        """Start trying to reach the server, unless that has begun already."""
        if self._silent_since is None:
            self._silent_since = _now()

    def heard(self) -> None:
        """Note that the server was heard: it is in reach."""
        self._silent_since = None
        self.refusal = None
        self._failures = 0

    def expect_longer_silence(self) -> None:
        """Note that the connection was silent for too long, though nothing tells how often this server sends a ping."""
        if self.keepalive_seconds < MAX_KEEPALIVE_SECONDS:
            self.keepalive_seconds *= 2
            self.heard()

    def most_silence(self) -> float:
        """Return for how long the connection may be silent."""
        seconds = SILENCE * self.keepalive_seconds
        return seconds if self._silent_since is None else max(0.0, min(seconds, self.seconds_left()))

    def seconds_left(self) -> float:
        """Return the time until the server is given up, zero or less if that has come."""
        return self.give_up_after if self._silent_since is None else self._silent_since + self.give_up_after - _now()

    def next_pause(self, error: Exception) -> float:
        """Return how long to wait after ``error`` before the next connection: longer each time, and at random, so that
        the clients of a server that restarts do not all come back at once."""
        seconds = min(FIRST_PAUSE_SECONDS * 2.0**self._failures, MAX_PAUSE_SECONDS) * random.random()
        self._failures = min(self._failures + 1, 16)
        retry_after = error.retry_after if isinstance(error, StreamError) else None
        return min(self.seconds_left(), max(seconds, retry_after or 0.0))


def _now() -> float:
    return asyncio.get_running_loop().time()
