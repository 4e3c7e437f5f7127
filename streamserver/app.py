"""The one place where things are wired together."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from providers.build import ResiliencePolicy, build_catalog
from providers.catalog import Catalog
from providers.clock import Clock, LoopClock
from providers.jsontext import abbreviated
from providers.registry import Registry, load_registry
from providers.transport import AiohttpTransport, Transport
from providers.validation import Invalid
from streamserver.admission import Limiter, MemoryLimiter
from streamserver.config.settings import Settings
from streamserver.core.generation import Outcome
from streamserver.core.stream import StreamLimits
from streamserver.core.streams import Streams
from streamserver.core.supervisor import Supervisor
from streamserver.http.apis import APIS
from streamserver.http.context import context_of
from streamserver.http.keys import Keys, KeysError, parse_keys, parse_keys_file
from streamserver.http.middleware import MIDDLEWARE
from streamserver.http.middleware.browsers import allow_origin
from streamserver.http.middleware.request_id import name_response
from streamserver.http.routing import Api, Router
from streamserver.http.services import SERVICES, Services
from streamserver.store import MemoryStore, Store
from streamserver.telemetry.metrics import Metrics
from streamserver.telemetry.record import OutcomeLog, log_outcome
from streamserver.telemetry.tracebacks import log_crash
from streamserver.telemetry.traces import spans_for
from streamserver.wire.problem import STATUS


def create_app(
    settings: Settings | None = None,
    *,
    registry: Registry | None = None,
    transport: Transport | None = None,
    clock: Clock | None = None,
    store: Store | None = None,
    limiter: Limiter | None = None,
    environ: Mapping[str, str] = os.environ,
    on_end: Callable[[Outcome], None] | None = None,
    apis: Sequence[Api] = APIS,
) -> web.Application:
    """Return the server as an aiohttp application, to run or to mount in another. ``settings`` are made by
    :func:`streamserver.settings` or :func:`streamserver.load`.

    Every collaborator may be replaced: ``registry`` holds the kinds of providers, ``transport``
    carries their requests, ``clock`` is time, ``store`` is what nodes share, ``limiter`` counts what users
    have, ``environ`` holds the keys, ``on_end`` is told of each stream's end, in place of the log.

    The runner of the application must get ``handler_cancellation=True`` and ``access_log=None`` (to ``web.run_app``
    or ``web.AppRunner``), or use :class:`streamserver.runner.AppRunner`: otherwise aiohttp does not report client
    disconnects, and logs URLs, which hold prompts. ``transport``, ``store`` and ``limiter`` are closed with
    the application.

    Raises :class:`~providers.validation.Invalid` for a wrong provider table, and
    :class:`~streamserver.http.keys.KeysError` for keys that cannot be read.
    """
    settings = settings or Settings()
    clock = clock or LoopClock()
    store = store or store_for(settings)
    metrics = Metrics(refusals=STATUS)
    spans = spans_for(environ)
    outcome_log = OutcomeLog(notify_all(log_outcome))
    catalog = catalog_for(settings, registry or load_registry(), transport or AiohttpTransport(), clock, environ)
    metrics.track(catalog)
    notify = notify_all(on_end or outcome_log.add, metrics.stream_ended, spans.write)
    supervisor = Supervisor(stream_limits(settings), clock, store, notify, metrics.keep)
    streams = Streams(
        supervisor=supervisor,
        store=store,
        limiter=limiter or limiter_for(settings, clock),
        catalog=catalog,
        counter=metrics,
    )
    router = Router(apis)
    app = web.Application(middlewares=MIDDLEWARE)
    app[SERVICES] = Services(
        settings=settings,
        streams=streams,
        metrics=metrics,
        keys=keys_for(settings, environ),
        clock=clock,
        router=router,
        longest_seconds=settings.timeouts.total,
    )
    app.on_response_prepare.append(name_response)
    app.on_response_prepare.append(allow_origin)
    app.cleanup_ctx.append(outcome_log.open)  # the first to open is the last to end
    app.cleanup_ctx.append(spans.open)
    app.cleanup_ctx.append(_open)
    app.on_shutdown.append(_end_streams)
    router.add_to(app, context_of)
    return app


def catalog_for(
    settings: Settings, registry: Registry, transport: Transport, clock: Clock, environ: Mapping[str, str]
) -> Catalog:
    """Return the providers that ``settings`` name."""
    policy = ResiliencePolicy(
        first_token=settings.timeouts.first_token,
        idle=settings.timeouts.idle,
        attempts=settings.retry.attempts,
        max_wait=settings.retry.max_wait,
    )
    return build_catalog(
        settings.providers,
        default=settings.provider.default,
        fallback=settings.provider.fallback,
        registry=registry,
        environ=environ,
        transport=transport,
        policy=policy,
        clock=clock,
    )


def notify_all(*observers: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
    """Return a function that tells each observer of a stream's end. One that fails does not affect the others."""

    def notify(outcome: Outcome) -> None:
        for observer in observers:
            try:
                observer(outcome)
            except Exception as error:
                log_crash("an observer of streams failed", error, request_id=outcome.request_id)

    return notify


def stream_limits(settings: Settings) -> StreamLimits:
    """Return the supervisor's bounds, from the settings."""
    return StreamLimits(
        total=settings.timeouts.total,
        max_log_bytes=settings.resume.max_log_bytes,
        max_streams=settings.limits.max_streams,
        max_readers_per_stream=settings.limits.max_readers_per_stream,
        attach_seconds=settings.resume.attach_seconds,
        retention_seconds=settings.resume.retention_seconds,
        max_total_bytes=settings.resume.max_total_bytes,
        keepalive_seconds=settings.server.keepalive_seconds,
    )


def store_for(settings: Settings) -> Store:
    """Return what ``resume.store`` names. Raises :class:`~providers.validation.Invalid`, without its value: it may hold
    a password."""
    resume = settings.resume
    if resume.store == "memory":
        return MemoryStore()
    try:
        from streamserver.redis.replicator import LogTTL
        from streamserver.redis.store import RedisStore
    except ImportError:
        install = "pip install 'llm-streamserver[redis]', in a clone '.[redis]'"
        raise Invalid("resume.store", f"needs the package redis: {install}") from None
    running = settings.timeouts.total + resume.attach_seconds + resume.max_grace_seconds
    ttl = LogTTL(running=running, ended=resume.retention_seconds)
    try:
        return RedisStore(
            resume.store,
            ttl=ttl,
            max_readers=settings.limits.max_readers_per_stream,
            ending_wait_seconds=resume.ending_wait_seconds,
        )
    except ValueError:
        raise Invalid("resume.store", 'is no address like "redis://:password@host:6379/0"') from None


def limiter_for(settings: Settings, clock: Clock) -> Limiter:
    """Return the limits of this process, or, with a shared store, of all nodes."""
    if settings.resume.store == "memory":
        return MemoryLimiter(clock)
    from streamserver.redis.limiter import RedisLimiter

    return RedisLimiter(settings.resume.store)


def keys_for(settings: Settings, environ: Mapping[str, str]) -> Keys:
    """Return the API keys in the variable that ``auth.keys_env`` names and in ``auth.keys_file``.

    Raises :class:`~streamserver.http.keys.KeysError`, which says where.
    """
    auth = settings.auth
    try:
        keys = parse_keys(environ.get(auth.keys_env, ""))
    except KeysError as error:
        raise KeysError(f"{auth.keys_env}: {error}") from None
    if not auth.keys_file:
        return keys
    try:
        return keys + parse_keys_file(Path(auth.keys_file).read_text("utf-8"))
    except OSError as error:
        raise KeysError(f"{abbreviated(auth.keys_file)}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        reason = str(error) if isinstance(error, KeysError) else "is not text in UTF-8"
        raise KeysError(f"{abbreviated(auth.keys_file)}: {reason}") from None


async def _open(app: web.Application) -> AsyncIterator[None]:
    """Start the limits and the store; close them, the providers and the streams when the application ends."""
    streams = app[SERVICES].streams
    async with AsyncExitStack() as stack:
        # A reload may have replaced the catalog by then.
        stack.push_async_callback(close_part, "providers", lambda: streams.catalog.aclose())
        stack.push_async_callback(close_part, "the store", streams.store.aclose)
        stack.push_async_callback(close_part, "the limits", streams.limiter.aclose)
        stack.push_async_callback(close_part, "streams", streams.supervisor.aclose)
        await streams.limiter.start()
        await streams.store.start(streams.supervisor)
        yield


async def close_part(what: str, close: Callable[[], Awaitable[None]]) -> None:
    """Close a part, and log a failure: it must keep nothing else open, nor what an application around this has."""
    try:
        await close()
    except Exception as error:
        log_crash(f"{what} could not be closed", error)


async def _end_streams(app: web.Application) -> None:
    await app[SERVICES].supervisor.stop_all()
