"""Kinds of providers by name: the built-in ones, and those of plug-ins.

A plug-in adds a kind by an entry point in the group ``streamserver.providers`` that
names a :class:`Kind`. The registry is built once, and then frozen.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, distributions
from types import MappingProxyType
from typing import Any

import msgspec

from providers.base import Provider
from providers.options import Context, Options

GROUP = "streamserver.providers"


class Kind(msgspec.Struct, frozen=True):
    """A kind of provider: what it may be configured with, and how to build one.

    ``create(options, context)`` is given an instance of ``options``, already validated.
    ``any_model``: a request may ask for any model, configured or not.
    """

    options: type[Options]
    create: Callable[[Any, Context], Provider]
    any_model: bool = False


class UnknownKind(LookupError):
    """An unknown kind. The message lists the known ones and the near miss."""


# Import strings: a kind that is not configured costs no import.
_BUILT_IN: Mapping[str, tuple[str, str, str]] = {
    "openai": ("providers.openai", "OpenAIOptions", "OpenAI"),
    "azure": ("providers.openai", "AzureOptions", "Azure"),
    "anthropic": ("providers.anthropic", "AnthropicOptions", "Anthropic"),
    "echo": ("providers.echo", "EchoOptions", "Echo"),
}
_ANY_MODEL = frozenset({"echo"})


class Registry:
    """The kinds that a configuration may name.

    ``broken`` names the plug-ins that could not be loaded, with their error: they do not
    keep the server from starting.
    """

    def __init__(self, kinds: Mapping[str, Callable[[], Kind]], broken: Mapping[str, str]) -> None:
        self._kinds = MappingProxyType(dict(kinds))
        self.broken = MappingProxyType(dict(broken))

    @property
    def names(self) -> list[str]:
        return sorted(self._kinds)

    def kind(self, name: str) -> Kind:
        """Return the kind called ``name``. Raises :class:`UnknownKind`."""
        load = self._kinds.get(name)
        if load is None:
            raise UnknownKind(self._unknown(name))
        return load()

    def _unknown(self, name: str) -> str:
        known = f"expected one of {', '.join(self.names)}"
        if name in self.broken:
            return f"the plug-in of that name cannot be loaded ({self.broken[name]}); {known}"
        near = difflib.get_close_matches(name, self._kinds, n=1)
        return f"{known}; did you mean {near[0]!r}?" if near else known


def load_registry(plugins: Iterable[EntryPoint] | None = None) -> Registry:
    """Return the built-in kinds and those of the installed plug-ins, or of ``plugins`` instead."""
    kinds: dict[str, Callable[[], Kind]] = {name: _built_in(name) for name in _BUILT_IN}
    broken: dict[str, str] = {}
    for plugin in _installed() if plugins is None else plugins:
        try:
            kind = plugin.load()
            if not isinstance(kind, Kind):
                raise TypeError(f"{plugin.value} is not a providers.Kind")
            if plugin.name in kinds:
                raise ValueError(f"there is a kind {plugin.name!r} already")
        except Exception as error:  # a plug-in may raise anything as it is imported
            broken[plugin.name] = f"{type(error).__name__}: {error}"
        else:
            kinds[plugin.name] = lambda kind=kind: kind  # type: ignore[misc]
    return Registry(kinds, broken)


def _installed() -> Iterator[EntryPoint]:
    """Yield the entry points of the plug-ins that are installed.

    :func:`importlib.metadata.entry_points` takes three times as long: it looks up the name of every package first, to
    leave out those that another one earlier in the path hides. Here that is done for plug-ins only.
    """
    seen = set()
    for package in distributions():
        if GROUP not in (package.read_text("entry_points.txt") or ""):
            continue
        name = package.metadata["Name"]
        if name not in seen:
            seen.add(name)
            yield from package.entry_points.select(group=GROUP)


def _built_in(name: str) -> Callable[[], Kind]:
    module, options, create = _BUILT_IN[name]

    def load() -> Kind:
        loaded = importlib.import_module(module)
        return Kind(getattr(loaded, options), getattr(loaded, create), any_model=name in _ANY_MODEL)

    return load
