"""The one loop that follows a log, for every response and every wire format."""

from __future__ import annotations

import asyncio
import enum

from providers.clock import Clock, Timer
from streamserver.http.responses.sse_response import SSEResponse
from streamserver.log.base import Log
from streamserver.log.records import has_stable_offset
from streamserver.wire.base import Encoder

BATCH_RECORDS = 1024
"""As many records as are looked at for one write."""


async def follow(
    log: Log, offset: int, response: SSEResponse, encoder: Encoder, *, clock: Clock, keepalive: float
) -> None:
    """Write every record from ``offset`` on to ``response``, as it comes, until the terminal one.

    What is there goes out in one write; when nothing is, it waits for the next record, and after
    each ``keepalive`` seconds of that writes the encoder's keepalive. A reader with an offset
    past the end of a log that has ended gets its terminal record; one that has had it gets nothing more.
    """
    with _Tail(log, offset, response, encoder, clock, keepalive) as tail:
        await tail.run()


class _Wakeup(enum.Enum):
    """A reason to wake the request's task."""

    ENDED = enum.auto()
    BUFFER_FULL = enum.auto()
    KEEPALIVE_DUE = enum.auto()


class _Tail:
    """The position of one reader in a log, and its wake-ups.

    A record does not wake the request's task, a dozen coroutines deep, but a callback that encodes and writes.
    The task sleeps until the stream ends, the reader falls behind, or a keepalive is due. There is one timer, and
    it is seldom set: when it fires too early, since records came, it is set anew for the time that is left.
    """

    def __init__(
        self, log: Log, offset: int, response: SSEResponse, encoder: Encoder, clock: Clock, keepalive: float
    ) -> None:
        self._log = log
        self._offset = offset
        self._response = response
        self._encoder = encoder
        self._clock = clock
        self._keepalive = float(keepalive)
        self._loop = asyncio.get_running_loop()
        self._time = clock.time
        self._due = clock.time() + keepalive
        self._timer: Timer | None = None
        self._caught_up = False
        """The last batch held all that the log had."""
        self._subscribed = False
        """The log will call at the next record."""
        self._event: asyncio.Future[_Wakeup] | None = None
        """What the task sleeps on; None while it is awake, and while the reader is behind."""
        self._on_grown = self._write_available  # made once: it refers back to the tail until its end

    async def run(self) -> None:
        """Follow the log to its end."""
        response = self._response
        if batch := self._next_batch():
            await response.send_batch(batch)
        else:
            response.flush_headers()
        while not response.complete:
            match await self._next_wakeup():
                case _Wakeup.ENDED:
                    return
                case _Wakeup.BUFFER_FULL:
                    await response.wait_drained()
                case _Wakeup.KEEPALIVE_DUE:
                    self._due = self._time() + self._keepalive
                    await response.send_batch(self._encoder.keepalive)

    async def _next_wakeup(self) -> _Wakeup:
        event: asyncio.Future[_Wakeup] = self._loop.create_future()
        self._event = event
        if self._timer is None:
            self._timer = self._clock.call_at(self._due, self._on_keepalive_timer)
        if not self._subscribed:
            self._write_available()
        try:
            return await event
        finally:
            self._event = None

    def _write_available(self) -> None:
        """Write what is there, and ask to be called again when the log has grown, or cannot be followed any more.
        The task is woken for an :class:`_Wakeup` alone."""
        self._subscribed = False
        event = self._event
        if event is None or event.done():
            return  # the task is awake, and will look by itself
        response = self._response
        try:
            while True:
                batch = self._next_batch()
                if response.complete:
                    if batch:
                        response.write_last(batch)
                    event.set_result(_Wakeup.ENDED)
                    return
                keeps_up = True
                if batch:
                    keeps_up = response.write_now(batch)
                    time = self._time  # Python looks for a method of that name in `self._time()`
                    self._due = time() + self._keepalive
                if not keeps_up:
                    event.set_result(_Wakeup.BUFFER_FULL)
                    return
                if self._caught_up:
                    self._log.subscribe(self._on_grown)
                    self._subscribed = True
                    return
        except Exception as error:
            event.set_exception(error)

    def _next_batch(self) -> bytes:
        """Return the bytes of the next records, ``b""`` if there are none yet."""
        log, offset = self._log, self._offset
        records = log.take(offset, BATCH_RECORDS)
        if not records:
            if log.terminal is None:
                self._caught_up = True
                return b""
            if offset == len(log) and has_stable_offset(log.terminal):
                self._response.complete = True  # it came with the terminal event, before the log had that here
                return b""
            offset = len(log) - 1  # a reader past the end gets the terminal record
            records = log.take(offset, 1)
        data, count = self._encoder.encode(offset, records)
        self._offset = offset + count
        self._caught_up = count == len(records) and count < BATCH_RECORDS
        if log.terminal is not None:
            # Before the write: if it fails halfway, nothing may be written after it.
            self._response.complete = self._offset == len(log)
        return data

    def _on_keepalive_timer(self) -> None:
        self._timer = None
        event = self._event
        if event is None or event.done():
            return  # the task sets the timer again when it sleeps
        if self._time() < self._due:
            self._timer = self._clock.call_at(self._due, self._on_keepalive_timer)
        else:
            event.set_result(_Wakeup.KEEPALIVE_DUE)

    def __enter__(self) -> _Tail:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._subscribed:
            self._log.unsubscribe(self._on_grown)
        del self._on_grown
