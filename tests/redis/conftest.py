"""Fixtures: a Redis, and nodes that share it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.client import RawStream
from tests.support.redis import RedisProcess, running_redis
from tests.support.server import ServerProcess

StartRedis = Callable[..., Awaitable[RedisProcess]]
StartNode = Callable[..., Awaitable[ServerProcess]]


@pytest.fixture
async def start_redis(tmp_path: Path, find_program: Callable[[str], str]) -> AsyncIterator[StartRedis]:
    """``await start_redis(*options)``: a :class:`RedisProcess`."""
    async with AsyncExitStack() as stack:
        count = 0

        async def start(*options: str, ping: str | None = None) -> RedisProcess:
            nonlocal count
            count += 1
            folder = tmp_path / f"redis{count}"
            context = running_redis(find_program("redis-server"), folder, *options, ping=ping)
            return await stack.enter_async_context(context)

        yield start


@pytest.fixture
async def redis(start_redis: StartRedis) -> RedisProcess:
    return await start_redis()


@pytest.fixture
async def start_node(start_server: StartServer, redis: RedisProcess) -> StartNode:
    """``await start_node({…}, grace_seconds=…)``: a server over the Redis; further names go into ``[resume]``."""

    async def start(config: dict[str, Any] | None = None, *, url: str | None = None, **resume: Any) -> ServerProcess:
        server: ServerProcess = await start_server({**(config or {}), "resume": {"store": url or redis.url, **resume}})
        return server

    return start


@pytest.fixture(autouse=True)
async def close_readers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Close what a test that failed has left open."""
    readers: list[RawStream] = []
    request = RawStream.request

    async def remembered(*arguments: Any, **options: Any) -> RawStream:
        readers.append(await request(*arguments, **options))
        return readers[-1]

    monkeypatch.setattr(RawStream, "request", remembered)
    yield
    for reader in readers:
        reader.close()
