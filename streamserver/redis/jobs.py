"""Background jobs that must go on after a bug."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from streamserver.telemetry.tracebacks import log_crash

JOB_RESTART_SECONDS = 1.0


async def run_forever(name: str, job: Callable[[], Coroutine[Any, Any, None]], message: str) -> None:
    """Run ``job`` until cancelled. Log an exception with ``message`` and start it again: other tasks depend on it."""
    while True:
        try:
            await job()
        except Exception as error:
            log_crash(message, error, job=name)
            await asyncio.sleep(JOB_RESTART_SECONDS)
