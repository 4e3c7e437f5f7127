"""The catalog, built from the configuration: each provider with its deadlines, retries and fallback."""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from providers.base import ChatRequest, Event, Provider, TokenCounter
from providers.catalog import Catalog, ProviderEntry
from providers.clock import Clock, LoopClock
from providers.errors import ProviderAuth
from providers.options import Context, Options
from providers.registry import Kind, Registry
from providers.resilience import Breaker, Candidate, Fallback, Resilient, Retry
from providers.routes import ProviderProxy, ProxyRoutes, RoutedTransport
from providers.tables import api_key_of, read_options
from providers.transport import Transport
from providers.validation import Invalid


class ResiliencePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of time, in seconds, and of attempts that hold for every provider."""

    first_token: float
    idle: float
    attempts: int
    max_wait: float


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
    routes = ProxyRoutes(environ)
    entries = {}
    for name, table in tables.items():
        options = read_options(name, table, registry)
        route = routes.for_provider(name, options)
        context = _context(name, options, environ, transport, route)
        entries[name] = _entry(options, context, route.problem(options), registry, policy, clock)
    entries[default] = _with_fallback(entries[default], [entries[name] for name in fallback])
    return Catalog(entries, default, transport)


def _check_names(key: str, names: Iterable[str], tables: Mapping[str, object]) -> None:
    for name in names:
        if name not in tables:
            near = difflib.get_close_matches(name, tables, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(tables) or 'none'}"
            raise Invalid(key, f"there is no table [providers.{name}]; {hint}", name)


def _entry(
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
        counter=provider if isinstance(provider, TokenCounter) else None,
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
    """Return the default, falling back to those ``others`` that are ready.

    The default among them is no mistake: the command line may have chosen it.
    """
    ready = {each.name: each for each in others if each.reason is None and each.name != default.name}
    if not ready:
        return default
    first, *rest = (Candidate(each.model, each.provider, each.breaker) for each in (default, *ready.values()))
    return msgspec.structs.replace(default, provider=Fallback(first, rest))


def _context(
    name: str, options: Options, environ: Mapping[str, str], transport: Transport, route: ProviderProxy
) -> Context:
    key = api_key_of(options, environ)
    if not route.is_direct:
        transport = RoutedTransport(transport, route, key.value)
    return Context(name, transport, api_key=key.value, missing=key.problem)
