"""The configured providers, found by name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack

import msgspec

from providers.base import Provider, TokenCounter
from providers.bracket import Bracket
from providers.resilience import Breaker
from providers.transport import Transport


class ProviderEntry(msgspec.Struct, frozen=True):
    """One ``[providers.NAME]`` table, ready for use.

    ``models`` are further models, besides ``model``, that a request may ask for. ``provider`` has deadlines and
    retries in it, and, for the default, the fallback. ``reason`` says in one line why it is not ready, None if nothing
    is known to be missing.
    """

    name: str
    kind: str
    model: str
    models: tuple[str, ...]
    any_model: bool
    reason: str | None
    provider: Provider
    breaker: Breaker
    counter: TokenCounter | None = None
    """What counts the tokens of a prompt; None for a provider that cannot."""

    def offers(self, model: str) -> bool:
        """Return whether a request may ask for ``model``."""
        return self.any_model or model == self.model or model in self.models


class Catalog:
    """The configured providers. ``default`` answers requests that name none."""

    def __init__(self, entries: Mapping[str, ProviderEntry], default: str, transport: Transport) -> None:
        self._entries = dict(entries)
        self._transport = transport
        self.default = self._entries[default]
        self._leases = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __iter__(self) -> Iterator[ProviderEntry]:
        return iter(self._entries.values())

    def get(self, name: str) -> ProviderEntry | None:
        """Return the provider called ``name``, None if there is none."""
        return self._entries.get(name)

    def lease(self) -> Bracket:
        """Keep the providers in use for as long as the block runs."""
        return Bracket(self._begin_lease, self._end_lease)

    def _begin_lease(self) -> None:
        self._leases += 1
        self._idle.clear()

    def _end_lease(self) -> None:
        self._leases -= 1
        if not self._leases:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until no lease is held."""
        await self._idle.wait()

    async def aclose(self) -> None:
        """Close every provider and the transport, also if some fail. Raises what the last of those raised."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._transport.aclose)
            for entry in reversed(self._entries.values()):
                stack.push_async_callback(entry.provider.aclose)
