"""Reload the configuration of a running server.

Running streams keep the settings that they began with; new streams have the new ones.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import msgspec
from loguru import logger

from providers.catalog import Catalog
from providers.validation import Invalid
from streamserver.app import close_part
from streamserver.config import ConfigError, Loaded, Settings
from streamserver.config.table import SETTINGS
from streamserver.config.types import Applies
from streamserver.core.stream import StreamLimits
from streamserver.http.keys import Keys, KeysError
from streamserver.http.services import Services
from streamserver.telemetry.logs import set_up_logs
from streamserver.telemetry.tracebacks import log_crash

RELOAD_POLL_SECONDS = 0.5
"""How often the files are looked at."""
SETTLED_POLLS = 2
"""How many looks in a row must find the same before a change is taken: a file is not read while it is written."""

_AT_START = frozenset(row.path for row in SETTINGS if row.about.applies is Applies.RESTART)
_IN_THE_STORE = frozenset(row.path for row in SETTINGS if row.about.copied_by_store)


class _Stamp(NamedTuple):
    """The marks that tell one state of a file from another. A link that is set to another file changes the inode."""

    device: int
    inode: int
    modified_ns: int
    size: int


class ReloadedParts(msgspec.Struct, frozen=True):
    """The parts that are made from settings, and replaced with them."""

    catalog: Catalog
    keys: Keys
    limits: StreamLimits


class Reloader:
    """A replacer of the settings of ``services``, and of what is made from them.

    ``load`` reads the configuration again, ``build`` makes its parts; if either fails nothing changes.
    """

    def __init__(
        self,
        services: Services,
        loaded: Loaded,
        *,
        load: Callable[[], Loaded],
        build: Callable[[Settings], ReloadedParts],
    ) -> None:
        self._services = services
        self._path = loaded.path
        self._may_be_empty = _is_empty(loaded.path)
        self._load = load
        self._build = build
        self._seen = self._signature()
        self._asked = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def active(self) -> AsyncIterator[None]:
        """Reload at every SIGHUP, and with ``server.reload`` at every change of the files, for as long as the block
        runs; at none after it. At its end replaced providers are closed, also if streams still use them."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._asked.set)
        task = loop.create_task(self._run(self._services.settings.server.reload), name="reload")
        try:
            yield
        finally:
            loop.add_signal_handler(signal.SIGHUP, _ignore)  # without a handler it would end the process
            for each in (task, *self._closing):
                each.cancel()
            await asyncio.gather(task, *self._closing, return_exceptions=True)

    async def reload(self) -> bool:
        """Read the configuration again and put it in force. Return whether it is in force. The log says what was wrong
        with it, or which changes wait for a restart."""
        try:
            # In a thread: a kind of provider that was not used before imports its SDK, which takes a second.
            settings, parts = await asyncio.to_thread(self._make)
            self._check_keys(settings, parts.keys)
        except (ConfigError, Invalid, KeysError) as error:
            logger.bind(event="reload").error("the configuration was not reloaded, nothing changed: {}", error)
            return False
        except Exception as error:
            log_crash("the configuration was not reloaded, nothing changed", error)
            return False
        self._put_in_force(settings, parts)
        return True

    def _make(self) -> tuple[Settings, ReloadedParts]:
        if _is_empty(self._path) and not self._may_be_empty:
            raise ConfigError(f"{self._path}: is empty")  # an editor may have only begun to write it
        settings = self._load().settings
        return settings, self._build(settings)

    async def _run(self, watching: bool) -> None:
        before, settled = self._seen, 0
        while True:
            try:
                async with asyncio.timeout(RELOAD_POLL_SECONDS if watching else None):
                    await self._asked.wait()
            except TimeoutError:
                now = self._signature()
                settled, before = settled + 1 if now == before else 0, now
                if now == self._seen or settled < SETTLED_POLLS:
                    continue  # not changed, or changing still
            self._asked.clear()
            seen = self._signature()
            await self.reload()
            # There may be another file to look at now, which was read a moment ago.
            self._seen = before = {name: seen.get(name, stamp) for name, stamp in self._signature().items()}

    def _check_keys(self, settings: Settings, keys: Keys) -> None:
        """Raise KeysError if the last key is gone: a file emptied by mistake must not open the server."""
        if self._services.keys and not keys and not settings.auth.allow_anonymous:
            raise KeysError("there are no API keys any more; to serve anyone, set auth.allow_anonymous = true")

    def _put_in_force(self, settings: Settings, parts: ReloadedParts) -> None:
        services = self._services
        waiting = _changed(_AT_START, services.settings, settings)
        halfway = (
            [] if services.settings.resume.store == "memory" else _changed(_IN_THE_STORE, services.settings, settings)
        )
        old = services.catalog
        services.settings, services.streams.catalog, services.keys = settings, parts.catalog, parts.keys
        services.longest_seconds = max(services.longest_seconds, settings.timeouts.total)
        services.supervisor.limits = parts.limits
        services.metrics.track(parts.catalog)
        set_up_logs(settings.log)
        task = asyncio.get_running_loop().create_task(_close(old), name="close-old-providers")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        logger.bind(event="reload", default=parts.catalog.default.name).info("the configuration was reloaded")
        if waiting:
            logger.bind(event="reload").warning("these changes wait for a restart: {}", ", ".join(waiting))
        if halfway:
            logger.bind(event="reload").warning(
                "these changes are in force for streams of this process, and for what the shared store keeps and for "
                "other nodes' streams only after a restart: {}",
                ", ".join(halfway),
            )

    def _signature(self) -> dict[str, _Stamp | None]:
        return {name: _stamp(Path(name)) for name in (self._path, self._services.settings.auth.keys_file) if name}


def _ignore() -> None:
    pass


async def _close(old: Catalog) -> None:
    try:
        await old.wait_idle()
    finally:
        await close_part("providers", old.aclose)


def _is_empty(path: str | None) -> bool:
    found = _stamp(Path(path)) if path else None
    return found is not None and found.size == 0


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Stamp(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def _changed(keys: Collection[str], before: Settings, after: Settings) -> list[str]:
    """Return those of ``keys`` that have another value now, in order."""
    return sorted(key for key in keys if attrgetter(key)(before) != attrgetter(key)(after))
