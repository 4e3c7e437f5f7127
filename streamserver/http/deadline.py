"""A request's own deadline."""

from __future__ import annotations

import asyncio

from providers.clock import Clock, Timer


class RequestDeadline:
    """A deadline that ends the ``asyncio.timeout`` around a handler, by our own clock: its timers are cheap.

    As a context manager it is cleared when the block ends.
    """

    def __init__(self, timeout: asyncio.Timeout, clock: Clock) -> None:
        self._timeout = timeout
        self._clock = clock
        self._timer: Timer | None = None

    def set(self, seconds: float) -> None:
        """Set or move the deadline: ``seconds`` from now."""
        self.clear()
        self._timer = self._clock.call_at(self._clock.time() + seconds, self._expire)

    def clear(self) -> None:
        """Have no deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> RequestDeadline:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.clear()

    def _expire(self) -> None:
        self._timeout.reschedule(asyncio.get_running_loop().time())
