"""The supervisor: the registry of streams, their limits, and the drain."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

from providers.clock import Clock
from streamserver.core.caller import Caller
from streamserver.core.generation import Generation, Outcome
from streamserver.core.refusals import draining, too_many_streams
from streamserver.core.resources import Resources
from streamserver.core.retention import Retention
from streamserver.core.stream import Stream, StreamLimits
from streamserver.core.task import ChatTask
from streamserver.core.timers import timer
from streamserver.log.memory import MemoryLog
from streamserver.log.records import Start
from streamserver.store.base import Store


class Supervisor:
    """The registry of this process's streams, which ends all of them at a shutdown.

    ``store`` is told which streams are retained no more; ``on_end`` is told of each stream's end, once; ``on_retained``
    how many bytes the logs of ended streams take, whenever that has changed.
    """

    def __init__(
        self,
        limits: StreamLimits,
        clock: Clock,
        store: Store,
        on_end: Callable[[Outcome], None],
        on_retained: Callable[[int], None] = lambda size_bytes: None,
    ) -> None:
        self.limits = limits
        """For streams that start from now on; may be replaced."""
        self.clock = clock
        self.draining = False
        self._on_end = on_end
        self._running: dict[str, Stream] = {}
        self._retained: Retention[Stream] = Retention(clock, store.forget, on_retained)
        self._stuck: set[asyncio.Task[None]] = set()
        """Tasks of ended streams with providers that have not closed their connections."""
        self._readers = 0
        self._idle = asyncio.Event()
        """Set while no stream is running, and none that has ended is being read."""
        self._idle.set()

    @property
    def active(self) -> int:
        """How many streams are running."""
        return len(self._running)

    @property
    def retained(self) -> int:
        """How many ended streams are retained."""
        return len(self._retained)

    @property
    def retained_bytes(self) -> int:
        """The size of the logs of the ended streams that are retained."""
        return self._retained.size_bytes

    def check_capacity(self) -> None:
        """Raise :class:`~streamserver.core.refusals.Refusal` if a new stream would not be registered now."""
        if self.draining:
            raise draining()
        if len(self._running) >= self.limits.max_streams:
            raise too_many_streams(self.limits.max_streams)

    def register(self, task: ChatTask, caller: Caller, resources: Resources | None = None) -> Stream:
        """Return a new stream, with its start in its log. The provider is not asked before it is launched.

        The stream takes over ``resources``, and releases them at its end. Raises
        :class:`~streamserver.core.refusals.Refusal`, with ``resources`` as they were.
        """
        self.check_capacity()
        limits = self.limits
        start = Start(
            stream_id=secrets.token_urlsafe(16),
            request_id=caller.request_id,
            provider=task.entry.name,
            model=task.request.model,
            created=int(time.time()),
            keepalive_seconds=limits.keepalive_seconds,
            wire=task.wire,
            user=caller.key_name,
            options=task.options,
        )
        log = MemoryLog(start, limits.max_log_bytes)
        stream = Stream(log, task.grace_seconds, self, is_detached=task.is_detached)
        stream.generation = Generation(
            log=stream.log,
            provider=task.entry.provider,
            request=task.request,
            key_name=caller.key_name,
            total=limits.total,
            clock=self.clock,
            on_end=stream.on_end,
        )
        if resources is not None:
            stream.resources = resources.pop_all()
        self._running[stream.id] = stream
        self._idle.clear()
        return stream

    def discard(self, stream: Stream) -> None:
        """Remove a stream that was never launched; no client knows its id."""
        if stream.generation is None:  # it has ended meanwhile, as all do at a shutdown
            self._retained.forget(stream.id)
            return
        stream.generation = None
        self._remove_running(stream)

    def find(self, stream_id: str) -> Stream | None:
        """Return the stream of that id, running or retained, or None."""
        return self._running.get(stream_id) or self._retained.find(stream_id)

    async def drain(self, seconds: float, expedite: asyncio.Event | None = None) -> None:
        """Start nothing new; wait ``seconds``, or until ``expedite`` is set, for running streams and for readers of
        ended ones; then end them."""
        self.draining = True
        loop = asyncio.get_running_loop()
        waits = [loop.create_task(event.wait()) for event in (self._idle, expedite) if event is not None]
        try:
            with timer(self.clock, seconds) as deadline:
                first: tuple[asyncio.Future[Any], ...] = (*waits, deadline)
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        await self.stop_all()

    async def stop_all(self) -> None:
        """End every running stream with ``shutting_down``."""
        self.draining = True
        await asyncio.gather(*(stream.stop("shutting_down") for stream in list(self._running.values())))

    async def aclose(self) -> None:
        """End and forget everything."""
        await self.stop_all()
        self._retained.close()

    def reader_joined(self) -> None:
        self._readers += 1
        self._idle.clear()

    def reader_left(self) -> None:
        self._readers -= 1
        self._update_idle()

    def stream_stuck(self, task: asyncio.Task[None]) -> None:
        self._stuck.add(task)
        task.add_done_callback(self._stuck.discard)

    def stream_ended(self, stream: Stream, outcome: Outcome) -> None:
        limits = self.limits
        self._retained.keep(stream, seconds=limits.retention_seconds, max_bytes=limits.max_total_bytes)
        try:
            self._remove_running(stream)
        finally:
            self._on_end(outcome)

    def _remove_running(self, stream: Stream) -> None:
        del self._running[stream.id]
        self._update_idle()
        stream.release()

    def _update_idle(self) -> None:
        if not self._running and not self._readers:
            self._idle.set()
