"""The application in the test's own process, with access to its clock and services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from streamserver import create_app, settings
from streamserver.http.services import SERVICES, Services
from streamserver.listening import listen
from streamserver.runner import AppRunner


@asynccontextmanager
async def running_app(config: Mapping[str, Any], **collaborators: Any) -> AsyncIterator[tuple[Services, str]]:
    """Serve ``config`` (the tables of a config.toml) on a free port. Yield the application's services and its URL."""
    app = create_app(settings(config), **collaborators)
    runner = AppRunner(app)
    await runner.setup()
    sock = listen("127.0.0.1", 0)
    await web.SockSite(runner, sock).start()
    try:
        yield app[SERVICES], f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        await runner.cleanup()
