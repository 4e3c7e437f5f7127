"""Fixtures: a Redis, nodes that share it, and a provider that they ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer, StartUpstream
from tests.support.client import RawStream
from tests.support.redis import RedisProcess, running_redis
from tests.support.server import ServerProcess
from tests.support.upstream import Tap, Upstream

StartRedis = Callable[..., Awaitable[RedisProcess]]
StartNode = Callable[..., Awaitable[ServerProcess]]


@pytest.fixture
async def start_redis(tmp_path: Path, redis_program: str) -> AsyncIterator[StartRedis]:
    """Return ``await start_redis(*options)``: a :class:`RedisProcess`."""
    async with AsyncExitStack() as stack:
        count = 0

        async def start(*options: str, program: str = redis_program, ping: str | None = None) -> RedisProcess:
            nonlocal count
            count += 1
            context = running_redis(program, tmp_path / f"redis{count}", *options, ping=ping)
            return await stack.enter_async_context(context)

        yield start


@pytest.fixture
async def redis(start_redis: StartRedis) -> RedisProcess:
    return await start_redis()


@pytest.fixture
async def start_node(start_server: StartServer, redis: RedisProcess) -> StartNode:
    """Return ``await start_node({…}, grace_seconds=…)``: a server over the Redis. Other names go into ``[resume]``."""

    async def start(config: dict[str, Any] | None = None, *, url: str | None = None, **resume: Any) -> ServerProcess:
        server: ServerProcess = await start_server({**(config or {}), "resume": {"store": url or redis.url, **resume}})
        return server

    return start


@pytest.fixture
def tap() -> Tap:
    return Tap()


@pytest.fixture
async def upstream(start_upstream: StartUpstream, tap: Tap) -> Upstream:
    """Run a provider that answers what ``tap`` is told."""
    found: Upstream = await start_upstream(tap.script)
    return found


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


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
