"""Waiting for a time by an injected clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from providers.clock import Clock


@contextmanager
def timer(clock: Clock, seconds: float) -> Iterator[asyncio.Future[None]]:
    """Yield a future that is done (cancelled) when ``seconds`` have passed; it never is after the block."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    handle = clock.call_at(clock.time() + seconds, future.cancel)
    try:
        yield future
    finally:
        handle.cancel()
