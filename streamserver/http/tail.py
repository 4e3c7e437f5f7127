"""The one loop that follows a log, for every response and every wire format."""

from __future__ import annotations

import asyncio

from providers.clock import Clock, Timer
from streamserver.http.response import StreamResponse
from streamserver.log.base import Log
from streamserver.wire.base import Encoder

BATCH_RECORDS = 1024
"""As many records as are looked at for one write."""


async def follow(
    log: Log, offset: int, response: StreamResponse, encoder: Encoder, *, clock: Clock, keepalive: float
) -> None:
    """Write every record from ``offset`` on to ``response``, as it comes, until the terminal one.

    What is there goes out in one write; when nothing is, it waits for the next record, and after
    each ``keepalive`` seconds of that writes the encoder's keepalive. A reader whose offset is
    past the end of a log that has ended gets its terminal record.
    """
    stream_id = log.stream_id
    with _Wait(log, clock, keepalive) as wait:
        while True:
            if log.terminal is not None and offset >= len(log):
                offset = len(log) - 1
            records = log.take(offset, BATCH_RECORDS)
            if records:
                data, count = encoder.encode(stream_id, offset, records)
                offset += count
                ended = log.terminal is not None and offset == len(log)
                # Before the write: if it fails halfway, nothing may be written after it.
                response.complete = ended
                await response.send_batch(data)
                if ended:
                    return
                wait.restart()
                continue
            response.flush_headers()
            if not await wait.for_record():
                await response.send_batch(encoder.keepalive)
                wait.restart()


class _Wait:
    """Waits for a record or for the keepalive time, with one timer that is seldom set.

    A stream that is busy never gets to its timer, so the timer is not moved at each write: when
    it fires too early, it is set anew for the time that is left.
    """

    def __init__(self, log: Log, clock: Clock, keepalive: float) -> None:
        self._log = log
        self._clock = clock
        self._keepalive = keepalive
        self._due = clock.time() + keepalive
        self._timer: Timer | None = None
        self._waiter: asyncio.Future[bool] | None = None

    def restart(self) -> None:
        """The silence begins now."""
        self._due = self._clock.time() + self._keepalive

    async def for_record(self) -> bool:
        """True when there is a record, False when the keepalive is due."""
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        if self._timer is None:
            self._timer = self._clock.call_at(self._due, self._fire)
        self._log.subscribe(waiter)
        return await waiter

    def _fire(self) -> None:
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done():
            return  # the next wait sets the timer again
        if self._clock.time() < self._due:
            self._timer = self._clock.call_at(self._due, self._fire)
            return
        self._log.unsubscribe(waiter)
        waiter.set_result(False)

    def __enter__(self) -> _Wait:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._waiter is not None:
            self._log.unsubscribe(self._waiter)
