"""``streamserver serve``: run the server with a checked configuration, and announce its address."""

from __future__ import annotations

import asyncio
import gc
import os
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from signal import Signals

from aiohttp import web
from loguru import logger

from providers.clock import Clock
from providers.registry import Registry
from providers.transport import AiohttpTransport
from providers.validation import Invalid
from streamserver import __version__
from streamserver.app import catalog_for, create_app, keys_for, stream_limits
from streamserver.commands.base import CommandError
from streamserver.commands.metrics_folder import metrics_folder
from streamserver.config import Loaded, Settings
from streamserver.http.keys import Keys
from streamserver.http.services import SERVICES
from streamserver.listening import ListenError, listening, name_of
from streamserver.loop import EventLoop
from streamserver.reload import ReloadedParts, Reloader
from streamserver.runner import STOPS, hold_signals, raise_descriptor_limit, serve
from streamserver.start import check_start, warnings_of
from streamserver.telemetry._prometheus_client import share_between_processes
from streamserver.telemetry.log_output import write_all
from streamserver.telemetry.logs import set_up_logs
from streamserver.workers import EXPEDITE, Workers


def run_server(loaded: Loaded, registry: Registry, load_again: Callable[[], Loaded]) -> int:
    """Serve until a signal ends it. Return the exit status. ``load_again`` reads the configuration again.

    Raises :class:`CommandError` or :class:`~streamserver.config.ConfigError` if it cannot start.
    """
    settings = loaded.settings
    keys = check_start(loaded, host=settings.server.host)
    set_up_logs(settings.log)
    with _metrics_of(settings.server.workers):
        return _serve_with(loaded, registry, keys, load_again)


@contextmanager
def _metrics_of(workers: int) -> Iterator[None]:
    """Have several workers count together. One needs no file."""
    if workers == 1:
        yield
        return
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(metrics_folder())
        except OSError as error:
            raise CommandError(
                f"several workers need a folder for temporary files, and none can be made: {error.strerror}"
            ) from None
        share_between_processes(folder)
        yield


def _serve_with(loaded: Loaded, registry: Registry, keys: Keys, load_again: Callable[[], Loaded]) -> int:
    settings = loaded.settings
    try:
        app = create_app(settings, registry=registry)
    except Invalid as error:
        raise CommandError(loaded.describe_origin(error)) from None
    try:
        with hold_signals(), listening(settings.server) as sock:
            return _serve_on(sock, app, loaded, registry, keys, load_again)
    except ListenError as error:
        raise CommandError(str(error)) from None


def _serve_on(
    sock: socket.socket,
    app: web.Application,
    loaded: Loaded,
    registry: Registry,
    keys: Keys,
    load_again: Callable[[], Loaded],
) -> int:
    settings = loaded.settings
    warnings = warnings_of(loaded, registry, keys)
    if too_few_files := raise_descriptor_limit(settings.limits.max_streams):
        warnings.append(too_few_files)
    for name, why in registry.broken.items():
        logger.bind(event="plugin", plugin=name, reason=why).warning("a plug-in cannot be loaded")
    announce = partial(_announce, app, sock, loaded, warnings)
    work = partial(_work, sock, loaded, registry, load_again)
    if settings.server.workers == 1:
        return work(app, announce)
    gc.freeze()  # before the workers are forked: a collection would write to every page that they share
    gc.enable()
    # Each worker makes its own application: no two of them may be the same node.
    workers = Workers(
        settings.server.workers,
        lambda ready: work(create_app(settings, registry=registry), ready, expedite=(EXPEDITE,)),
        # With the store away, the endings of a drain that has run out wait for it.
        drain_seconds=settings.server.drain_seconds + settings.resume.ending_wait_seconds,
    )
    return workers.run(announce)


def _work(
    sock: socket.socket,
    loaded: Loaded,
    registry: Registry,
    load_again: Callable[[], Loaded],
    app: web.Application,
    ready: Callable[[], None],
    *,
    expedite: Collection[Signals] = STOPS,
) -> int:
    """Serve ``app`` in this process until a signal ends it. ``ready`` is called when it listens."""
    services = app[SERVICES]
    reloader = Reloader(
        services, loaded, load=load_again, build=lambda settings: _parts(settings, registry, services.clock)
    )
    runner = asyncio.Runner(loop_factory=EventLoop)
    try:
        runner.run(serve(app, sock, loaded.settings, announce=ready, background=reloader.active(), expedite=expedite))
    finally:
        # Everything is written and closed by now. uvloop fails on a connection with a TLS shutdown under way, and
        # that is no failure of the server (`Loop._close`, `uv_loop_close`):
        # https://github.com/MagicStack/uvloop/blob/v0.23.0/uvloop/loop.pyx
        with suppress(OSError):
            runner.close()
    return 0


def _parts(settings: Settings, registry: Registry, clock: Clock) -> ReloadedParts:
    keys = keys_for(settings, os.environ)
    transport = AiohttpTransport()
    return ReloadedParts(catalog_for(settings, registry, transport, clock, os.environ), keys, stream_limits(settings))


def _announce(app: web.Application, sock: socket.socket, loaded: Loaded, warnings: Sequence[str]) -> None:
    """Print where the server listens, which provider answers, and what to try."""
    url = name_of(sock)
    default = app[SERVICES].catalog.default
    lines = [
        f"streamserver {__version__} serves on {url}",
        f"  provider  {default.name} ({default.model})   config  {loaded.source}",
    ]
    if sock.family == socket.AF_UNIX:
        path = shlex.quote(sock.getsockname())
        lines.append(f"  try       curl -N --unix-socket {path} 'http://localhost/api/chat/stream?prompt=hello'")
    else:
        lines += [f"  page      {url}/", f"  try       curl -N '{url}/api/chat/stream?prompt=hello'"]
    if default.reason is not None:
        lines.append(f"  missing   {default.reason}. Set it and start again, or try --provider echo")
    lines += [f"  warning   {warning}" for warning in warnings]
    # In a thread, as nothing may be reading: the pipe may be full. Not by print(), which would hold the lock of
    # sys.stdout, and the exit would fail for it.
    text = "".join(f"{line}\n" for line in lines)
    threading.Thread(target=_write_announcement, args=(text, url), name="announce", daemon=True).start()


def _write_announcement(text: str, url: str) -> None:
    try:
        write_all(sys.stdout.fileno(), text.encode(sys.stdout.encoding, "backslashreplace"))
    except OSError as error:  # no reason not to serve
        logger.bind(event="start", url=url).info("serves; standard output cannot be written: {}", error.strerror)
