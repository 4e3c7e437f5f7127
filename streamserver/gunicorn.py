"""For gunicorn: ``gunicorn streamserver.gunicorn:app -k aiohttp.GunicornUVLoopWebWorker``. See docs/deployment.md."""

from __future__ import annotations

import asyncio
import sys
from typing import NoReturn

from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from providers.registry import load_registry
from providers.validation import Invalid
from streamserver.app import create_app
from streamserver.config import ConfigError, load
from streamserver.http.services import SERVICES
from streamserver.runner import AppRunner, raise_descriptor_limit
from streamserver.start import check_start
from streamserver.telemetry.logs import handle_loop_failure, set_up_logs

BOOT_ERROR = 3
"""``Arbiter.WORKER_BOOT_ERROR`` in every release until now."""


class DrainingRunner(AppRunner):
    """A runner that lets running streams finish when its worker ends; gunicorn has closed the listener by then."""

    async def shutdown(self) -> None:
        await self.drain(self.app[SERVICES].settings.server.drain_seconds, expedite=asyncio.Event())
        await super().shutdown()


async def app() -> AppRunner:
    """Return what a worker serves, from the configuration that the environment names; gunicorn's settings say where.

    A configuration that cannot be used ends the worker with one line.
    """
    try:
        registry = load_registry()
        loaded = load(None, registry=registry)
        check_start(loaded, host=None)
        set_up_logs(loaded.settings.log)
        runner = DrainingRunner(create_app(loaded.settings, registry=registry))
    except (ConfigError, Invalid) as error:
        _halt(str(error))
    raise_descriptor_limit(loaded.settings.limits.max_streams)
    asyncio.get_running_loop().set_exception_handler(handle_loop_failure)
    return runner


def _halt(why: str) -> NoReturn:
    """Exit with the status at which gunicorn ends; at another it would start workers again and again.

    The attribute is not documented: https://github.com/benoitc/gunicorn/blob/23.0.0/gunicorn/arbiter.py
    """
    print(f"streamserver: {why}", file=sys.stderr, flush=True)  # noqa: T201  # there may be no log yet
    sys.exit(getattr(Arbiter, "WORKER_BOOT_ERROR", BOOT_ERROR))
