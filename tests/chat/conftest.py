"""A client of OpenAI's at a server over a scripted upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import openai
import pytest

from tests.conftest import StartServer

ClientOf = Callable[..., Awaitable[openai.AsyncOpenAI]]


@pytest.fixture
async def client_of(start_server: StartServer) -> AsyncIterator[ClientOf]:
    """Return ``await client_of(config, max_retries=0)``: an SDK at a new server with that configuration."""
    async with AsyncExitStack() as stack:

        async def make(
            config: dict[str, Any] | None = None, *, max_retries: int = 0, key: str = "unused", **options: Any
        ) -> openai.AsyncOpenAI:
            server = await start_server(config, **options)
            client = openai.AsyncOpenAI(api_key=key, base_url=f"{server.url}/v1", max_retries=max_retries)
            return await stack.enter_async_context(client)

        yield make
