"""``streamserver providers``: the configured providers, what each lacks and, with ``--probe``, whether it answers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TextIO

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text as Cell

from providers.base import TOKENS, ChatRequest, Message
from providers.catalog import Catalog, ProviderEntry
from providers.clock import LoopClock
from providers.connection_errors import EXPLANATIONS
from providers.errors import ProviderError
from providers.registry import Registry
from providers.sdk import sdk_differences
from providers.tables import read_options
from providers.transport import AiohttpTransport
from streamserver.app import catalog_for
from streamserver.config.settings import RetrySettings, Settings

PROBE_PROMPT = "Say ok."
PROBE_TOKENS = 16
"""As few as may be asked for: OpenAI's Responses API refuses less."""


class Probed(msgspec.Struct, frozen=True):
    """The outcome of a probe: what to show, and whether the provider answered."""

    text: str
    ok: bool


def show_providers(
    settings: Settings,
    registry: Registry,
    *,
    probe: bool,
    environ: Mapping[str, str] = os.environ,
    out: TextIO | None = None,
) -> int:
    """Print the table. Return the exit status: 1 if a provider was probed and did not answer.

    Raises :class:`~providers.validation.Invalid` for a wrong provider table.
    """
    return asyncio.run(_show(settings, registry, probe, environ, sys.stdout if out is None else out))


async def _show(settings: Settings, registry: Registry, probe: bool, environ: Mapping[str, str], out: TextIO) -> int:
    # Each is asked once, and none falls back to another.
    alone = msgspec.structs.replace(
        settings,
        retry=RetrySettings(attempts=1),
        provider=msgspec.structs.replace(settings.provider, fallback=()),
    )
    catalog = catalog_for(alone, registry, AiohttpTransport(), LoopClock(), environ)
    try:
        probed = await asyncio.gather(*map(_probe, catalog)) if probe else None
    finally:
        await catalog.aclose()
    notes = [f"plug-in {name} cannot be loaded: {error}" for name, error in registry.broken.items()]
    if probe:
        notes += _compare_with_sdks(settings, registry)
    _print(_table(catalog, settings, probed), notes, out)
    return 0 if probed is None or all(each.ok for each in probed) else 1


async def _probe(configured: ProviderEntry) -> Probed:
    """Send a tiny request, and close it at the first token."""
    if configured.reason is not None:
        return Probed("not asked", ok=False)
    request = ChatRequest(
        messages=[Message(role="user", content=PROBE_PROMPT)], model=configured.model, max_tokens=PROBE_TOKENS
    )
    began = asyncio.get_running_loop().time()
    try:
        async with aclosing(configured.provider.stream(request)) as events:
            async for event in events:
                if isinstance(event, TOKENS):
                    break
    except ProviderError as error:
        return Probed(_explain(error), ok=False)
    except Exception as error:  # a bug in a plug-in is no reason not to show the others
        return Probed(f"internal: {type(error).__name__}: {error}", ok=False)
    return Probed(f"first token after {(asyncio.get_running_loop().time() - began) * 1000:.0f} ms", ok=True)


def _compare_with_sdks(settings: Settings, registry: Registry) -> Iterator[str]:
    """Yield the differences between our requests and those of the installed SDKs: their headers and addresses."""
    for name, table in settings.providers.items():
        try:
            for difference in sdk_differences(read_options(name, table, registry)):
                yield f"{name}: {difference}"
        except Exception as error:  # of an SDK that is broken: it is not needed to send requests
            yield f"{name}: the vendor's SDK cannot be compared with: {type(error).__name__}: {error}"


def _explain(error: ProviderError) -> str:
    """Return what went wrong, then what the provider answered: address, status, its own code and request id."""
    facts = [f"{name.removeprefix('upstream_')} {value}" for name, value in error.detail.fields().items()]
    meaning = EXPLANATIONS.get(error.detail.reason or "")
    text = f"{error.code}: {error.message}" + (f" ({', '.join(facts)})" if facts else "")
    return text if meaning is None else f"{text}: {meaning}"


def _table(catalog: Catalog, settings: Settings, probed: Sequence[Probed] | None) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("PROVIDER", "KIND", "MODEL", "ROLE", "LACKS", *(("PROBE",) if probed is not None else ())):
        table.add_column(heading, overflow="fold")
    for number, each in enumerate(catalog):
        lacks = Cell(each.reason, style="red") if each.reason is not None else Cell("-")
        row = [Cell(each.name), Cell(each.kind), Cell(each.model), Cell(_role(each, settings)), lacks]
        if probed is not None:
            row.append(Cell(probed[number].text, style="green" if probed[number].ok else "red"))
        table.add_row(*row)
    return table


def _role(configured: ProviderEntry, settings: Settings) -> str:
    name, fallback = configured.name, settings.provider.fallback
    if name == settings.provider.default:
        return "default"
    return f"fallback {fallback.index(name) + 1}" if name in fallback else "-"


def _print(table: Table, notes: Sequence[str], out: TextIO) -> None:
    # A program that reads a pipe expects one line for each provider, however long.
    terminal = out.isatty()
    console = Console(file=out, force_terminal=terminal, width=None if terminal else 1000, highlight=False)
    with console.capture() as captured:
        console.print(table)
        for note in notes:
            console.print(Cell(note, style="red"))
    out.write("".join(f"{line.rstrip()}\n" for line in captured.get().split("\n")[:-1]))
