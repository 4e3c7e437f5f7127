"""Fixtures: chats of the hook ``useChat``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.clients.ai_sdk.chat import Chat, running_chat
from tests.clients.client import NODE_FOLDER
from tests.redis.conftest import redis, start_node, start_redis
from tests.support.programs import miss

__all__ = ["redis", "start_node", "start_redis"]

StartChat = Callable[..., Awaitable[Chat]]


@pytest.fixture
def node(request: pytest.FixtureRequest, find_program: Callable[[str], str]) -> str:
    """Return the path of Node, beside which the AI SDK is installed."""
    if not (NODE_FOLDER / "node_modules").is_dir():
        miss("needs npm ci --ignore-scripts --prefix tests/clients/node", request)
    return find_program("node")


@pytest.fixture
async def start_chat(node: str) -> AsyncIterator[StartChat]:
    """Return ``await start_chat(server.url, id="…", …)``: a :class:`Chat`."""
    async with AsyncExitStack() as stack:

        async def start(server: str, **options: Any) -> Chat:
            return await stack.enter_async_context(running_chat(node, server, **{"id": "chat-1", **options}))

        yield start
