"""What every handler works with."""

from __future__ import annotations

import msgspec
from aiohttp import web

from providers.catalog import Catalog
from providers.clock import Clock
from streamserver.admission import Limiter
from streamserver.config.settings import Settings
from streamserver.core.supervisor import Supervisor
from streamserver.http.keys import Keys
from streamserver.store.base import Readable, Store
from streamserver.telemetry.metrics import Metrics


class Core(msgspec.Struct):
    """The collaborators of the HTTP edge. ``settings``, ``catalog``, ``keys``, ``longest_seconds`` and the
    supervisor's policy are replaced by a reload."""

    settings: Settings
    catalog: Catalog
    supervisor: Supervisor
    store: Store
    limiter: Limiter
    metrics: Metrics
    keys: Keys
    clock: Clock
    longest_seconds: float
    """The longest ``timeouts.total`` that was in force: no running stream has more."""

    async def find(self, stream_id: str) -> Readable | None:
        """The stream of that id, of this node or another; None if there is none.

        Raises :class:`~streamserver.store.base.StoreUnavailable`.
        """
        return self.supervisor.find(stream_id) or await self.store.find(stream_id)


CORE = web.AppKey("core", Core)
_CORE = web.RequestKey("core", Core)


def core_of(request: web.Request) -> Core:
    """The core of the app that serves ``request``, mounted in another or not. Looked up once a request."""
    core = request.get(_CORE)
    if core is None:
        core = request[_CORE] = request.config_dict[CORE]
    return core
