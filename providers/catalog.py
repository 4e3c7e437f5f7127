"""The configured providers: built from their tables, wrapped to be dependable, found by name."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import msgspec

from providers.api_keys import ApiKey, read_api_key
from providers.base import ChatRequest, Event, Provider
from providers.clock import Clock, LoopClock
from providers.errors import ProviderAuth
from providers.options import ApiOptions, Context, Options
from providers.registry import Kind, Registry, UnknownKind
from providers.resilience import Breaker, Candidate, Fallback, Resilient, Retry
from providers.routes import ProviderRoute, RoutedTransport, Routes, check_route
from providers.transport import Transport
from providers.validation import Invalid, check_address, check_json, convert


class ResiliencePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long a provider may take, and how often it is asked; times in seconds."""

    first_token: float
    idle: float
    attempts: int
    max_wait: float


class ProviderEntry(msgspec.Struct, frozen=True):
    """One ``[providers.NAME]`` table, ready for use.

    ``provider`` is what a stream is asked of: deadlines and retries are in it, and, for the default, the
    fallback. ``reason`` says in one line why it will not work, None if nothing is known to be missing.
    ``breaker`` knows how it did lately.
    """

    name: str
    kind: str
    model: str
    models: tuple[str, ...]
    any_model: bool
    reason: str | None
    provider: Provider
    breaker: Breaker

    def offers(self, model: str) -> bool:
        """Whether a request may ask for ``model``."""
        return self.any_model or model == self.model or model in self.models


class Catalog:
    """The configured providers. ``default`` is the one that answers who names none."""

    def __init__(self, configured: Mapping[str, ProviderEntry], default: str, transport: Transport) -> None:
        self._configured = dict(configured)
        self._transport = transport
        self.default = self._configured[default]
        self._leases = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __iter__(self) -> Iterator[ProviderEntry]:
        return iter(self._configured.values())

    def get(self, name: str) -> ProviderEntry | None:
        return self._configured.get(name)

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Somebody asks one of these providers, for as long as the block runs."""
        self._leases += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._leases -= 1
            if not self._leases:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until nobody does."""
        await self._idle.wait()

    async def aclose(self) -> None:
        """Close every provider and the transport, also if some fail; what the last of those raised is raised."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._transport.aclose)
            for configured in reversed(self._configured.values()):
                stack.push_async_callback(configured.provider.aclose)


def read_options(name: str, table: Mapping[str, Any], registry: Registry) -> Options:
    """The validated options of ``[providers.NAME]``. Raises :class:`~providers.validation.Invalid`."""
    key = f"providers.{name}"
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise Invalid(f"{key}.kind", f"is missing; expected one of {', '.join(registry.names)}")
    try:
        options = registry.kind(kind).options
    except UnknownKind as error:
        raise Invalid(f"{key}.kind", str(error), kind) from None
    converted = convert(table, options, prefix=key)
    check_address(getattr(converted, "base_url", None), f"{key}.base_url")
    if isinstance(converted, ApiOptions):
        check_json(converted.extra, f"{key}.extra")
        check_route(converted, key)
    return converted


def build_catalog(
    tables: Mapping[str, Mapping[str, Any]],
    *,
    default: str,
    fallback: Sequence[str] = (),
    registry: Registry,
    environ: Mapping[str, str],
    transport: Transport,
    policy: ResiliencePolicy,
    clock: Clock | None = None,
) -> Catalog:
    """Build every provider in ``tables`` (name → its table). Keys are read from ``environ``.

    ``fallback`` names those that are asked, in order, when ``default`` fails before its first token.
    Raises :class:`~providers.validation.Invalid` for a wrong table or an unknown name.
    """
    _check_names("provider.default", (default,), tables)
    _check_names("provider.fallback", fallback, tables)
    clock = clock or LoopClock()
    routes = Routes(environ)
    configured = {}
    for name, table in tables.items():
        options = read_options(name, table, registry)
        route = routes.for_provider(name, options)
        context = _context(name, options, environ, transport, route)
        configured[name] = _configure(options, context, route.problem(options), registry, policy, clock)
    configured[default] = _with_fallback(configured[default], [configured[name] for name in fallback])
    return Catalog(configured, default, transport)


def _check_names(key: str, names: Iterable[str], tables: Mapping[str, object]) -> None:
    for name in names:
        if name not in tables:
            near = difflib.get_close_matches(name, tables, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(tables) or 'none'}"
            raise Invalid(key, f"there is no table [providers.{name}]; {hint}", name)


def _configure(
    options: Options,
    context: Context,
    problem: str | None,
    registry: Registry,
    policy: ResiliencePolicy,
    clock: Clock,
) -> ProviderEntry:
    kind = registry.kind(options.kind)
    provider, reason = _create(kind, options, context)
    breaker = Breaker(clock)
    retry = Retry(attempts=policy.attempts, max_wait=policy.max_wait, clock=clock)
    return ProviderEntry(
        name=context.name,
        kind=options.kind,
        model=options.model or options.kind,
        models=options.models,
        any_model=kind.any_model,
        reason=reason or problem,
        provider=Resilient(
            provider,
            name=context.name,
            first_token=policy.first_token,
            idle=policy.idle,
            retry=retry,
            breaker=breaker,
            clock=clock,
        ),
        breaker=breaker,
    )


def _create(kind: Kind, options: Options, context: Context) -> tuple[Provider, str | None]:
    """Return the provider, and why it is not ready, None if it is. A package that it lacks hurts no other provider."""
    try:
        return kind.create(options, context), context.missing
    except ImportError as error:
        reason = f"a package cannot be imported: {error}"
        return _NotReady(reason), reason


class _NotReady:
    """A provider that could not be made, for ``reason``."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        raise ProviderAuth(f"This server cannot ask the provider: {self._reason}.", sent=False)
        yield  # a generator

    async def aclose(self) -> None:
        """Release nothing."""


def _with_fallback(default: ProviderEntry, others: Iterable[ProviderEntry]) -> ProviderEntry:
    """The default, falling back to those ``others`` that could answer; itself among them is no mistake,
    since the command line chooses another default."""
    able = {each.name: each for each in others if each.reason is None and each.name != default.name}
    if not able:
        return default
    first, *rest = (Candidate(each.model, each.provider, each.breaker) for each in (default, *able.values()))
    return msgspec.structs.replace(default, provider=Fallback(first, rest))


def _context(
    name: str, options: Options, environ: Mapping[str, str], transport: Transport, route: ProviderRoute
) -> Context:
    variable = options.api_key_env if isinstance(options, ApiOptions) else None
    key = ApiKey() if variable is None else read_api_key(variable, environ)
    if not route.is_direct:
        transport = RoutedTransport(transport, route, key.value)
    return Context(name, transport, api_key=key.value, missing=key.problem)


def not_ready(
    tables: Mapping[str, Mapping[str, Any]], registry: Registry, environ: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the name of each provider whose key is set and cannot be used, or whose proxy cannot, with the reason.

    Raises :class:`~providers.validation.Invalid` as :func:`build_catalog` does.
    """
    routes = Routes(environ)
    for name, table in tables.items():
        options = read_options(name, table, registry)
        problem = routes.for_provider(name, options).problem(options)
        if isinstance(options, ApiOptions) and options.api_key_env is not None:
            key = read_api_key(options.api_key_env, environ)
            problem = (key.problem if key.is_set else None) or problem
        if problem is not None:
            yield name, problem
