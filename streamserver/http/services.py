"""The collaborators of the HTTP edge."""

from __future__ import annotations

from collections import Counter

import msgspec
from aiohttp import web

from providers.catalog import Catalog
from providers.clock import Clock
from streamserver.config.settings import Settings
from streamserver.core.streams import Streams
from streamserver.core.supervisor import Supervisor
from streamserver.http.keys import Keys
from streamserver.http.routing import Router
from streamserver.store.base import Store
from streamserver.telemetry.metrics import Metrics


class Services(msgspec.Struct):
    """The collaborators of the edge. ``settings``, ``keys``, ``longest_seconds``, the streams' catalog and the
    supervisor's limits are replaced by a reload."""

    settings: Settings
    streams: Streams
    metrics: Metrics
    keys: Keys
    clock: Clock
    router: Router
    longest_seconds: float
    """The longest ``timeouts.total`` that was in force: no running stream has more."""
    token_counts: Counter[str] = msgspec.field(default_factory=Counter)
    """How many requests of each account are being counted, without a stream."""
    is_deployment_checked: bool = False
    """Whether the one look at how the application is run has been taken."""

    @property
    def catalog(self) -> Catalog:
        return self.streams.catalog

    @property
    def supervisor(self) -> Supervisor:
        return self.streams.supervisor

    @property
    def store(self) -> Store:
        return self.streams.store


SERVICES = web.AppKey("services", Services)
