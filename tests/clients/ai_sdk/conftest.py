"""Fixtures: chats of the hook ``useChat``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients.ai_sdk.chat import Chat, running_chat
from tests.redis.conftest import redis, start_node, start_redis

__all__ = ["redis", "start_node", "start_redis"]

StartChat = Callable[..., Awaitable[Chat]]
FOLDER = Path(__file__).parent
NODE_MODULES = FOLDER / "node_modules"


def version_of(package: str) -> str:
    """Return the version of an npm package that the tests run."""
    versions: dict[str, str] = json.loads((FOLDER / "package.json").read_text("utf-8"))["devDependencies"]
    return versions[package]


@pytest.fixture
def node(request: pytest.FixtureRequest, find_program: Callable[[str], str]) -> str:
    """The path of Node, beside which the AI SDK is installed."""
    if not NODE_MODULES.is_dir():
        reason = "needs npm ci --ignore-scripts --prefix tests/clients/ai_sdk"
        if request.config.getoption("--require-programs"):
            pytest.fail(reason)
        pytest.skip(reason)
    return find_program("node")


@pytest.fixture
async def start_chat(node: str) -> AsyncIterator[StartChat]:
    """``await start_chat(server.url, id="…", …)``: a :class:`Chat`."""
    async with AsyncExitStack() as stack:

        async def start(server: str, **options: Any) -> Chat:
            return await stack.enter_async_context(running_chat(node, server, **{"id": "chat-1", **options}))

        yield start
