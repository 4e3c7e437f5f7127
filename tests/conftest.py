"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest

from tests.support.blocking import blocking_calls_raise
from tests.support.ports import free_port
from tests.support.programs import REDIS_SERVERS, found, program
from tests.support.properties import draw_no_constants_of_modules, profile, register_profiles
from tests.support.server import ServerProcess, running_server
from tests.support.upstream import Script, Upstream, running_upstream

register_profiles()

StartServer = Callable[..., Any]
StartUpstream = Callable[..., Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-programs",
        action="store_true",
        help="fail, instead of skipping, where a program from outside PyPI is missing",
    )
    parser.addoption("--redis-server", metavar="PROGRAM", help="run what needs a Redis over this server, and no other")


def pytest_sessionstart() -> None:
    if profile().derandomize:
        draw_no_constants_of_modules()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test marked ``each_redis`` over each server that speaks Redis."""
    if metafunc.definition.get_closest_marker("each_redis") and "redis_program" in metafunc.fixturenames:
        only = metafunc.config.getoption("--redis-server")
        metafunc.parametrize("redis_program", [only] if only else REDIS_SERVERS, indirect=True)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Return a new folder with a short path: that of a Unix socket has at most 107 bytes."""
    with TemporaryDirectory(prefix="s-") as name:
        yield Path(name)


@pytest.fixture
def find_program(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Return the path of a program by its name; skips, or fails, where it is missing."""
    return lambda name: program(name, request)


@pytest.fixture
def redis_program(request: pytest.FixtureRequest, find_program: Callable[[str], str]) -> str:
    """Return the Redis server that a test runs over: any that is here, if it does not say which."""
    there = (name for name in REDIS_SERVERS if found(name))
    default = request.config.getoption("--redis-server") or next(there, REDIS_SERVERS[0])
    return find_program(getattr(request, "param", default))


@pytest.fixture
def unused_tcp_port() -> int:
    """Return a port without a listener; pytest-asyncio's could be another program's by the time that it is used."""
    return free_port()


@asynccontextmanager
async def starting_servers(folder: Path) -> AsyncIterator[StartServer]:
    """Provide ``await start({"limits": {…}}, arguments=(…), environ={…})``: a :class:`ServerProcess`."""
    async with AsyncExitStack() as stack:
        count = 0

        async def start(config: dict[str, Any] | None = None, **options: Any) -> ServerProcess:
            nonlocal count
            count += 1
            return await stack.enter_async_context(running_server(folder / f"server{count}", config, **options))

        yield start


@asynccontextmanager
async def starting_upstreams() -> AsyncIterator[StartUpstream]:
    """Provide ``await start(script)``: an :class:`Upstream`."""
    async with AsyncExitStack() as stack:

        async def start(script: Script) -> Upstream:
            context: AbstractAsyncContextManager[Upstream] = running_upstream(script)
            return await stack.enter_async_context(context)

        yield start


@pytest.fixture
async def start_server(tmp_path: Path) -> AsyncIterator[StartServer]:
    """Return what :func:`starting_servers` provides."""
    async with starting_servers(tmp_path) as start:
        yield start


@pytest.fixture
async def start_upstream() -> AsyncIterator[StartUpstream]:
    """Return what :func:`starting_upstreams` provides."""
    async with starting_upstreams() as start:
        yield start


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Return a client that waits 60 s for anything, and no longer."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


def openai_at(upstream: Upstream, **options: Any) -> dict[str, Any]:
    """Return the tables that make ``upstream`` the default provider."""
    table = {"kind": "openai", "model": "gpt-4o-mini", "base_url": f"{upstream.url}/v1", **options}
    return {"provider": {"default": "up"}, "providers": {"up": table}}


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    """Make the server's code raise where it blocks the event loop of a test."""
    with blocking_calls_raise():
        yield
