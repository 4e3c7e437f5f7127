"""The supervisor: owns every generation's task, and decides when one may go on.

A stream is a generation and its readers. It lives as long as somebody reads, or may yet
come back to read; it stays readable for a while after its end.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import msgspec
from loguru import logger

from providers.base import ChatRequest
from providers.catalog import ProviderEntry
from providers.clock import Clock, Timer
from streamserver.core.generation import Generation, Outcome
from streamserver.core.refusals import Draining, TooManyReaders, TooManyStreams
from streamserver.core.retention import Retention
from streamserver.log.base import Log
from streamserver.log.memory import MemoryLog
from streamserver.log.records import Start
from streamserver.store.base import Store

STOP_SECONDS = 1.0
"""How long a provider may take to let go of its connection before its stream is ended without it."""


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on streams; times in seconds. The names are those of the settings."""

    total: float
    max_log_bytes: int
    max_streams: int
    max_readers_per_stream: int
    attach_seconds: float
    retention_seconds: float
    max_total_bytes: int


class Stream:
    """A generation, its log and its readers."""

    def __init__(self, log: Log, grace_seconds: float, supervisor: Supervisor) -> None:
        self.id = log.stream_id
        self.log = log
        self.grace_seconds = grace_seconds
        self._supervisor = supervisor
        self.readers = 0
        self.remote_readers = 0
        """Readers on other nodes."""
        self.held = ExitStack()
        """What it occupies; given back when it has ended."""
        self.generation: Generation | None = None
        """None when it has ended: what is kept to be read again holds no prompt."""
        self.task: asyncio.Task[None] | None = None
        self.alone: Timer | None = None
        """Runs while nobody reads; ends the generation when it fires."""
        self.watchdog: Timer | None = None
        """Runs while it stops; ends the stream without the provider when it fires."""

    @property
    def stopping(self) -> bool:
        return self.watchdog is not None

    @property
    def ended(self) -> bool:
        return self.log.terminal is not None

    def reading(self) -> AbstractContextManager[None]:
        """Count a reader for as long as the block runs. The last one to leave ends the generation, after its grace.

        Raises :class:`TooManyReaders`.
        """
        return self._supervisor.reading(self)

    async def stop(self) -> None:
        """End the generation now. When this returns the terminal record is in the log."""
        await self._supervisor.stop(self)

    def set_remote_readers(self, readers: int) -> None:
        """So many readers on other nodes read it now."""
        self._supervisor.set_remote_readers(self, readers)

    def fence(self) -> None:
        """Other nodes have ended it, and told their readers ``producer_lost``: end it here too."""
        self._supervisor.fence(self)


class Supervisor:
    """Starts, finds, stops and forgets streams.

    ``store`` is told what is kept no more; ``on_end`` is told of every stream's end, once; ``on_kept`` what the logs
    of ended streams take in bytes, whenever that has changed.
    """

    def __init__(
        self,
        limits: StreamLimits,
        clock: Clock,
        store: Store,
        on_end: Callable[[Outcome], None],
        on_kept: Callable[[int], None] = lambda size_bytes: None,
    ) -> None:
        self.limits = limits
        """For what starts from now on; may be replaced."""
        self._clock = clock
        self._on_end = on_end
        self._running: dict[str, Stream] = {}
        self._ended: Retention[Stream] = Retention(clock, store.forget, on_kept)
        self._stuck: set[asyncio.Task[None]] = set()
        """Tasks of streams that have ended, whose providers have not let go."""
        self._readers = 0
        self._idle = asyncio.Event()
        """Set while no stream is running, and nobody reads one that has ended."""
        self._idle.set()
        self.draining = False

    @property
    def active(self) -> int:
        """How many streams are running."""
        return len(self._running)

    @property
    def kept(self) -> int:
        """How many ended streams are kept."""
        return len(self._ended)

    @property
    def kept_bytes(self) -> int:
        """What the logs of ended streams take that are kept."""
        return self._ended.size_bytes

    def check_room(self) -> None:
        """Raises :class:`TooManyStreams` or :class:`Draining` if a new stream would not be opened now."""
        if self.draining:
            raise Draining
        if len(self._running) >= self.limits.max_streams:
            raise TooManyStreams

    def open(
        self,
        request: ChatRequest,
        configured: ProviderEntry,
        *,
        request_id: str,
        user: str,
        grace_seconds: float,
        held: ExitStack | None = None,
    ) -> Stream:
        """A new stream, with its start in its log. Nothing is asked of the provider until :meth:`launch`.

        The stream takes over what is in ``held``, and gives it back at its end. Raises
        :class:`TooManyStreams` or :class:`Draining`.
        """
        self.check_room()
        start = Start(secrets.token_urlsafe(16), request_id, configured.name, request.model)
        stream = Stream(MemoryLog(start, self.limits.max_log_bytes), grace_seconds, self)
        stream.generation = Generation(
            log=stream.log,
            provider=configured.provider,
            request=request,
            user=user,
            total=self.limits.total,
            clock=self._clock,
            on_end=lambda outcome: self._end(stream, outcome),
        )
        if held is not None:
            stream.held = held.pop_all()
        self._running[stream.id] = stream
        self._idle.clear()
        return stream

    def launch(self, stream: Stream) -> None:
        """Ask the provider. A stream that nobody reads waits ``attach_seconds`` for its first reader."""
        if stream.generation is None or stream.task is not None:
            return
        stream.task = asyncio.get_running_loop().create_task(stream.generation.run(), name=f"stream-{stream.id[:6]}")
        # A task that is cancelled before its first step never gets to its own ending.
        stream.task.add_done_callback(lambda _: self._end_without_provider(stream))
        if not stream.readers and not stream.remote_readers:
            self._start_abandonment_timer(stream, self.limits.attach_seconds)

    def discard(self, stream: Stream) -> None:
        """Take back a stream that nobody was told of, and that was never launched: it leaves no trace."""
        if stream.generation is None:  # it has ended meanwhile, as all do at a shutdown
            self._ended.forget(stream.id)
            return
        stream.generation = None
        self._leave_running(stream)

    def find(self, stream_id: str) -> Stream | None:
        """The stream of that id, running or kept, or None."""
        return self._running.get(stream_id) or self._ended.find(stream_id)

    @contextmanager
    def reading(self, stream: Stream) -> Iterator[None]:
        """See :meth:`Stream.reading`."""
        if stream.readers + stream.remote_readers >= self.limits.max_readers_per_stream:
            raise TooManyReaders
        stream.readers += 1
        self._readers += 1
        self._idle.clear()
        self._cancel_abandonment_timer(stream)
        try:
            yield
        finally:
            stream.readers -= 1
            self._readers -= 1
            self._update_idle()
            logger.bind(event="reader", stream_id=stream.id[:6], readers=stream.readers).debug("a reader has left")
            self._after_leaving(stream)

    def set_remote_readers(self, stream: Stream, readers: int) -> None:
        """See :meth:`Stream.set_remote_readers`."""
        before, stream.remote_readers = stream.remote_readers, readers
        if readers:
            self._cancel_abandonment_timer(stream)
        elif before:
            self._after_leaving(stream)

    def fence(self, stream: Stream) -> None:
        """See :meth:`Stream.fence`."""
        self._cancel(stream, "producer_lost")

    def _cancel_abandonment_timer(self, stream: Stream) -> None:
        if stream.alone is not None:
            stream.alone.cancel()
            stream.alone = None

    def _after_leaving(self, stream: Stream) -> None:
        if stream.ended or stream.stopping:
            return
        if stream.readers or stream.remote_readers:
            self.launch(stream)  # whoever was to do it has left, and others found the stream by its key
        elif stream.grace_seconds > 0 and stream.task is not None:
            self._start_abandonment_timer(stream, stream.grace_seconds)
        else:
            self._cancel(stream, "cancelled")

    async def stop(self, stream: Stream, code: str = "cancelled") -> None:
        """End the generation now. When this returns the terminal record is in the log."""
        self._cancel(stream, code)
        if stream.task is not None and not stream.ended:
            with self._time_passing(STOP_SECONDS) as over:
                await asyncio.wait((stream.task, over), return_when=asyncio.FIRST_COMPLETED)
        if not stream.ended:
            self._give_up(stream)

    async def drain(self, seconds: float, expedite: asyncio.Event | None = None) -> None:
        """Start nothing new; give running streams, and who still reads one, ``seconds`` (or until ``expedite`` is set),
        then end them."""
        self.draining = True
        loop = asyncio.get_running_loop()
        waits = [loop.create_task(event.wait()) for event in (self._idle, expedite) if event is not None]
        try:
            with self._time_passing(seconds) as over:
                first: tuple[asyncio.Future[Any], ...] = (*waits, over)
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        await self.stop_all()

    async def stop_all(self) -> None:
        """End every running stream with ``shutting_down``."""
        self.draining = True
        await asyncio.gather(*(self.stop(stream, "shutting_down") for stream in list(self._running.values())))

    async def aclose(self) -> None:
        """End and forget everything."""
        await self.stop_all()
        self._ended.close()

    @contextmanager
    def _time_passing(self, seconds: float) -> Iterator[asyncio.Future[None]]:
        """A future that is done when ``seconds`` have passed."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_at(self._clock.time() + seconds, over.cancel)
        try:
            yield over
        finally:
            timer.cancel()

    def _leave_running(self, stream: Stream) -> None:
        self._cancel_abandonment_timer(stream)
        if stream.watchdog is not None:
            stream.watchdog.cancel()
        del self._running[stream.id]
        self._update_idle()
        stream.held.close()

    def _update_idle(self) -> None:
        if not self._running and not self._readers:
            self._idle.set()

    def _start_abandonment_timer(self, stream: Stream, seconds: float) -> None:
        stream.alone = self._clock.call_at(self._clock.time() + seconds, lambda: self._cancel(stream, "cancelled"))

    def _cancel(self, stream: Stream, code: str) -> None:
        if stream.generation is None or stream.stopping:
            return
        self._cancel_abandonment_timer(stream)
        stream.generation.stop(code)
        if stream.task is None:
            self._end_without_provider(stream)
            return
        stream.task.cancel()
        stream.watchdog = self._clock.call_at(self._clock.time() + STOP_SECONDS, lambda: self._give_up(stream))

    def _give_up(self, stream: Stream) -> None:
        """A provider that holds on to its connection, or to its task, does not keep its readers."""
        if stream.task is None or stream.task.done():
            self._end_without_provider(stream)
            return
        self._stuck.add(stream.task)
        stream.task.add_done_callback(self._stuck.discard)
        start = stream.log.start
        logger.bind(event="stuck", request_id=start.request_id, provider=start.provider).error(
            "a provider does not let go of its stream"
        )
        self._end_without_provider(stream, stuck=True)

    def _end_without_provider(self, stream: Stream, *, stuck: bool = False) -> None:
        if stream.generation is not None:
            stream.generation.end(stream.generation.stopped(), stuck=stuck)

    def _end(self, stream: Stream, outcome: Outcome) -> None:
        stream.generation = None
        limits = self.limits
        self._ended.keep(stream, seconds=limits.retention_seconds, max_bytes=limits.max_total_bytes)
        try:
            self._leave_running(stream)
        finally:
            self._on_end(outcome)
