"""A stream: a generation and its readers."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec
from loguru import logger

from providers.bracket import Bracket
from providers.clock import Clock, Timer
from streamserver.core.generation import Generation, Outcome
from streamserver.core.refusals import too_many_readers
from streamserver.core.resources import Resources
from streamserver.core.timers import timer
from streamserver.log.base import Log

PROVIDER_CLOSE_SECONDS = 1.0
"""How long a provider may take to close its connection before its stream is ended without it."""


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on streams; times in seconds. The names are those of the settings."""

    total: float
    max_log_bytes: int
    max_streams: int
    max_readers_per_stream: int
    attach_seconds: float
    retention_seconds: float
    max_total_bytes: int
    keepalive_seconds: float = 15.0


class StreamOwner(Protocol):
    """The part of a supervisor that a stream needs: limits, a clock, and callbacks."""

    @property
    def limits(self) -> StreamLimits: ...

    @property
    def clock(self) -> Clock: ...

    def reader_joined(self) -> None: ...

    def reader_left(self) -> None: ...

    def stream_stuck(self, task: asyncio.Task[None]) -> None:
        """Hold on to ``task``: its stream has ended, and its provider has not closed its connection."""
        ...

    def stream_ended(self, stream: Stream, outcome: Outcome) -> None: ...


class Stream:
    """A generation, its log and its readers. Owns the generation's task, the count of its readers and its timers.

    While a stream has no reader its abandonment timer runs, which cancels the generation. If the provider of a
    cancelled generation does not close its connection in :data:`PROVIDER_CLOSE_SECONDS`, it is ended without it.
    """

    def __init__(self, log: Log, grace_seconds: float, owner: StreamOwner, *, is_detached: bool = False) -> None:
        self.id = log.stream_id
        self.log = log
        self.grace_seconds = grace_seconds
        self.readers = 0
        self.remote_readers = 0
        """Readers on other nodes."""
        self.resources = Resources()
        """What the stream occupies; it is released, and gone, when the stream has ended."""
        self.generation: Generation | None = None
        """None once it has ended: a stream that is retained for later readers holds no prompt."""
        self.task: asyncio.Task[None] | None = None
        """None before it is launched, and once it is done."""
        self._owner = owner
        self._is_detached = is_detached
        self._abandonment_timer: Timer | None = None
        self._close_timer: Timer | None = None

    @property
    def stopping(self) -> bool:
        """Whether the generation has been cancelled, and its provider's connection is being closed."""
        return self._close_timer is not None

    @property
    def ended(self) -> bool:
        return self.log.terminal is not None

    def launch(self) -> None:
        """Start the generation. A stream without a reader waits ``attach_seconds`` for its first one.

        Does nothing if the stream was launched before, or is ending.
        """
        if self.generation is None or self.task is not None or self.log.proposed is not None:
            return
        self.task = asyncio.get_running_loop().create_task(self.generation.run(), name=f"stream-{self.id[:6]}")
        # A task that is cancelled before its first step never reaches its own ending.
        self.task.add_done_callback(self._on_task_done)
        if not self.readers and not self.remote_readers and not self._is_detached:
            self._start_abandonment_timer(self._owner.limits.attach_seconds)

    def reading(self) -> Bracket:
        """Count a reader for as long as the block runs.

        A client disconnect ends the block. When the last reader has disconnected, the generation is cancelled, and with
        it the request to the provider: at once, or after ``grace_seconds`` without a new reader.

        Raises :class:`~streamserver.core.refusals.Refusal` if the stream has as many readers as it may have.
        """
        return Bracket(self._add_reader, self._remove_reader)

    def set_remote_readers(self, readers: int) -> None:
        """Set how many readers on other nodes read the stream now."""
        before, self.remote_readers = self.remote_readers, readers
        if readers:
            self._cancel_abandonment_timer()
        elif before:
            self._on_reader_left()

    async def stop(self, code: str = "cancelled") -> None:
        """Cancel the generation now. When this returns, the terminal record is in the log."""
        self.cancel(code)
        if self.task is not None and not self.ended:
            with timer(self._owner.clock, PROVIDER_CLOSE_SECONDS) as deadline:
                await asyncio.wait((self.task, deadline), return_when=asyncio.FIRST_COMPLETED)
        if not self.ended:
            self._end_at_deadline()
        if not self.ended:  # the store has not accepted the ending yet
            ended = asyncio.Event()
            self.log.subscribe(ended.set)
            await ended.wait()

    def fence(self) -> None:
        """End the stream here too, after other nodes have ended it with ``producer_lost``."""
        self.cancel("producer_lost")

    def cancel(self, code: str, *, abandoned: bool = False) -> None:
        """Cancel the generation; its terminal record will have ``code``. Does nothing if it is ending."""
        if self.generation is None or self.stopping or self.log.proposed is not None:
            return
        self._cancel_abandonment_timer()
        self.generation.stop(code, abandoned=abandoned)
        if self.task is None:
            self._end_without_provider()
            return
        self.task.cancel()
        clock = self._owner.clock
        self._close_timer = clock.call_at(clock.time() + PROVIDER_CLOSE_SECONDS, self._end_at_deadline)

    def on_end(self, outcome: Outcome) -> None:
        """Give the outcome to the owner; the generation calls this, once."""
        self.generation = None
        self._owner.stream_ended(self, outcome)

    def release(self) -> None:
        """Cancel the timers, and release what the stream occupies."""
        self._cancel_abandonment_timer()
        if self._close_timer is not None:
            self._close_timer.cancel()
        resources = self.resources
        del self.resources
        resources.close()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._end_without_provider()
        self.task = None  # an ended stream that is retained holds nothing that only a running one needs

    def _add_reader(self) -> None:
        max_readers = self._owner.limits.max_readers_per_stream
        if self.readers + self.remote_readers >= max_readers:
            raise too_many_readers(max_readers)
        self.readers += 1
        self._owner.reader_joined()
        self._cancel_abandonment_timer()

    def _remove_reader(self) -> None:
        self.readers -= 1
        self._owner.reader_left()
        logger.debug("a reader has left", event="reader", stream_id=self.id[:6], readers=self.readers)
        self._on_reader_left()

    def _on_reader_left(self) -> None:
        """Handle the client disconnect of a reader: if it was the last one, cancel the generation after the grace.

        A detached stream goes on without readers.
        """
        if self.ended or self.stopping:
            return
        if self.readers or self.remote_readers:
            self.launch()  # the client that started it has disconnected, and others found the stream by its key
        elif self.task is not None and self._is_detached:
            return
        elif self.grace_seconds > 0 and self.task is not None:
            self._start_abandonment_timer(self.grace_seconds)
        else:
            self.cancel("cancelled", abandoned=True)

    def _start_abandonment_timer(self, seconds: float) -> None:
        clock = self._owner.clock
        self._abandonment_timer = clock.call_at(
            clock.time() + seconds, lambda: self.cancel("cancelled", abandoned=True)
        )

    def _cancel_abandonment_timer(self) -> None:
        if self._abandonment_timer is not None:
            self._abandonment_timer.cancel()
            self._abandonment_timer = None

    def _end_at_deadline(self) -> None:
        """End the stream without its provider, which has not closed its connection in time."""
        if self.task is None or self.task.done():
            self._end_without_provider()
            return
        self._owner.stream_stuck(self.task)
        start = self.log.start
        logger.bind(event="stuck", request_id=start.request_id, provider=start.provider).error(
            "a provider does not close its connection"
        )
        self._end_without_provider(stuck=True)

    def _end_without_provider(self, *, stuck: bool = False) -> None:
        if self.generation is not None:
            self.generation.end(self.generation.stopped(), stuck=stuck)
