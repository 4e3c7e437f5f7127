"""A client of Anthropic's at a server over a scripted upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import anthropic
import pytest

from tests.conftest import StartServer

ClientOf = Callable[..., Awaitable[anthropic.AsyncAnthropic]]


@pytest.fixture
async def client_of(start_server: StartServer) -> AsyncIterator[ClientOf]:
    """Return ``await client_of(config, max_retries=0)``: an SDK at a new server with that configuration."""
    async with AsyncExitStack() as stack:

        async def make(
            config: dict[str, Any] | None = None, *, max_retries: int = 0, **options: Any
        ) -> anthropic.AsyncAnthropic:
            server = await start_server(config, **options)
            client = anthropic.AsyncAnthropic(api_key="unused", base_url=server.url, max_retries=max_retries)
            return await stack.enter_async_context(client)

        yield make
