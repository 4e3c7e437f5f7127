"""Run the application: connections, signals, the drain, the end."""

from __future__ import annotations

import asyncio
import functools
import gc
import resource
import signal
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from loguru import logger

from streamserver._aiohttp import IDLE_SECONDS, MAX_HEADER_BYTES, MAX_LINE_BYTES, harden
from streamserver.config.settings import Settings
from streamserver.core.supervisor import Supervisor
from streamserver.http.context import CONTEXT
from streamserver.http.services import SERVICES
from streamserver.listening import BACKLOG
from streamserver.telemetry.logs import count_dropped_records, handle_loop_failure
from streamserver.telemetry.refusals import log_refusal

STOPS = (signal.SIGTERM, signal.SIGINT)
HANDLED = (*STOPS, signal.SIGHUP)
INTERRUPT_DRAIN_SECONDS = 2.0
"""How long running streams may finish after SIGINT, or after a second SIGTERM."""
SHUTDOWN_SECONDS = 1.5
"""How long handlers may take after the drain. aiohttp waits this long twice, the second time before it cancels them;
only a reader that stalls, or a client that does not send its body, makes it wait."""
FINAL_FLUSH_SECONDS = 0.3
RUNNER_POLL_SECONDS = 0.05
"""How often the write buffers of readers are polled during a drain."""
COLLECTOR_THRESHOLDS = (10_000, 2, 1000)
"""Python's own, (700, 10, 10), cost 9 % of a short request, and more with each finished stream that is kept. The first
two bound how long a collection of the young generations stops the server: it looks at 30,000 objects, about 30 ms."""
ACCEPTS_PER_TURN = 16
"""libuv takes one connection a turn of the loop from each descriptor it listens on. With one descriptor and a
busy loop, readers that come together wait for seconds."""


class AccessLog(AbstractAccessLogger):
    """One record for each request, at DEBUG; refused ones in a summary at INFO. The route's template, never the URL."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        if not isinstance(request, web.Request) or CONTEXT not in request:
            return  # what the parser refused never reached the application, and has no route
        context = request[CONTEXT]
        log = logger.debug if response.status < 400 else _log_refused
        log(
            "request",
            event="request",
            request_id=context.request_id,
            method=request.method if request.method.isascii() else "?",
            route=context.route_path,
            http_status=response.status,
            bytes=response.body_length,
            duration_ms=round(time * 1000, 1),
        )


_log_refused = functools.partial(log_refusal, by=("route", "http_status"))


class AppRunner(web.AppRunner):
    """aiohttp's runner, set up for streams.

    A reader's leaving cancels its handler; long URLs are taken; the protocol's own errors quote nothing.
    Also for gunicorn: its worker takes a runner from an async factory.
    """

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        super().__init__(
            app,
            handler_cancellation=True,
            access_log_class=AccessLog,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            keepalive_timeout=IDLE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
            **kwargs,
        )

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        if (hardened := harden(server)) is not None and SERVICES in self.app:
            services = self.app[SERVICES]
            hardened.headers_seconds = lambda: services.settings.timeouts.headers  # type: ignore[method-assign]
            hardened.send_seconds = lambda: services.settings.server.send_timeout_seconds  # type: ignore[method-assign]
            hardened.reader_dropped = services.metrics.reader_dropped  # type: ignore[method-assign]
        if SERVICES in self.app:
            count_dropped_records(self.app[SERVICES].metrics.log_record_dropped)
        return server

    async def drain(self, seconds: float, expedite: asyncio.Event) -> None:
        """Wait until the streams have ended and readers have what was written to them, at most ``seconds``, or until
        ``expedite`` is set; then end the streams that are left."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        await self.app[SERVICES].supervisor.drain(seconds, expedite)
        await self.wait_flushed(deadline - loop.time(), expedite)

    async def wait_flushed(self, seconds: float, expedite: asyncio.Event) -> None:
        """Wait until readers have taken what was written to them, at most ``seconds``, or until ``expedite`` is set:
        what is left in this process is lost with it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (  # noqa: ASYNC110  # a buffer has no event for being empty
            _has_unflushed(_transports(self)) and loop.time() < deadline and not expedite.is_set()
        ):
            await asyncio.sleep(RUNNER_POLL_SECONDS)

    async def cleanup(self) -> None:
        """Close everything. A reader that does not take the last of what it was sent is cut off: an event loop with
        such a connection cannot be closed."""
        transports = _transports(self)
        await super().cleanup()
        if _has_unflushed(transports):
            await asyncio.sleep(FINAL_FLUSH_SECONDS)
            for transport in transports:
                transport.abort()


def _transports(runner: web.AppRunner) -> list[asyncio.Transport]:
    connections = [] if runner.server is None else runner.server.connections
    return [each.transport for each in connections if each.transport is not None]


def _has_unflushed(transports: list[asyncio.Transport]) -> bool:
    return any(transport.get_write_buffer_size() for transport in transports)


def raise_descriptor_limit(max_streams: int) -> str | None:
    """Raise the soft limit of open files to the hard one. A warning if even that is below two a stream
    (its reader's connection, and its provider's)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass
    if soft != resource.RLIM_INFINITY and soft < 2 * max_streams:
        return (
            f"open files are limited to {soft}, fewer than two for each of limits.max_streams = {max_streams}: "
            f"raise the limit (ulimit -n), or lower max_streams to {soft // 2}"
        )
    return None


async def accept(runner: web.AppRunner, sock: socket.socket) -> None:
    """Take connections from ``sock``, several in each turn of the loop, until the runner is cleaned up."""
    for each in (sock, *(sock.dup() for _ in range(ACCEPTS_PER_TURN - 1))):
        await web.SockSite(runner, each, backlog=BACKLOG).start()


async def serve(
    app: web.Application,
    sock: socket.socket,
    settings: Settings,
    *,
    announce: Callable[[], None],
    background: AbstractAsyncContextManager[None] | None = None,
    expedite: Collection[signal.Signals] = STOPS,
) -> None:
    """Serve ``app`` on ``sock`` until SIGTERM or SIGINT, and then until its streams have ended.

    While it drains it still listens: new streams are refused with a 503, attaching and stopping work.
    A second signal, if it is one of ``expedite``, shortens the drain; every stream is ended properly even then.
    ``background`` is entered while it serves.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(handle_loop_failure)
    runner = AppRunner(app)
    # The signals are ours until the last stream has had its ending written: a third one must not cut it short.
    with _Signals(loop, expedite) as signals:
        try:
            await runner.setup()
            await accept(runner, sock)
            # What is loaded by now stays: the collector need not look at half a million objects again and again, nor
            # once before the first request.
            gc.freeze()
            gc.set_threshold(*COLLECTOR_THRESHOLDS)
            gc.enable()
            async with background or nullcontext():
                announce()
                await _drained(runner, app[SERVICES].supervisor, signals, settings.server.drain_seconds)
        finally:
            await runner.cleanup()
            # Connections under TLS, to providers and to Redis, say goodbye after they are closed, and nothing tells
            # when they are done; an event loop that is closed in the middle of it fails, and so does the exit.
            await asyncio.sleep(FINAL_FLUSH_SECONDS)


async def _drained(runner: AppRunner, supervisor: Supervisor, signals: _Signals, drain_seconds: float) -> None:
    """Wait for the first signal, and then for the streams and their readers."""
    if await signals.first() != signal.SIGTERM:
        drain_seconds = INTERRUPT_DRAIN_SECONDS
    logger.bind(event="drain", streams=supervisor.active, seconds=drain_seconds).info("draining")
    await runner.drain(drain_seconds, signals.expedite)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Hold back the signals that :func:`serve` and the workers handle, until their handlers are there: without it a
    signal that comes between listening and serving would end the process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Signals:
    """SIGTERM and SIGINT, for as long as the block runs; after it the process is about to exit, and ignores them.

    So it does with SIGHUP, before it serves and after, lest endings that are being written are cut short.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, expedite: Collection[signal.Signals]) -> None:
        self._loop = loop
        self._first: asyncio.Future[signal.Signals] = loop.create_future()
        self._expedite = expedite
        self._ours = {*HANDLED, *expedite}
        self.expedite = asyncio.Event()

    def __enter__(self) -> _Signals:
        for number in self._ours:
            self._loop.add_signal_handler(number, self._receive, number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._ours)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number in self._ours:
            self._loop.remove_signal_handler(number)
            # All is done but the exit: one more signal must not turn its status into a failure.
            signal.signal(number, signal.SIG_IGN)

    async def first(self) -> signal.Signals:
        """Wait for the first of them."""
        return await self._first

    def _receive(self, number: signal.Signals) -> None:
        if number in STOPS and not self._first.done():
            self._first.set_result(number)
        elif number in self._expedite:
            self._loop.call_later(INTERRUPT_DRAIN_SECONDS, self.expedite.set)
