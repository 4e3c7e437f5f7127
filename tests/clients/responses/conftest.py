"""Fixtures: upstreams that answer a conversation, and other people's packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.responses.upstreams import PROTOCOLS, answering, tables
from tests.conftest import StartServer, StartUpstream
from tests.support.upstream import Exchange, Upstream


@pytest.fixture
def need(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """``need("package")``: skip the test, or fail it, where a package is missing."""

    def needed(package: str) -> None:
        if importlib.util.find_spec(package) is None:
            reason = f"needs {package}: pip install -e '.[clients]'"
            if request.config.getoption("--require-programs"):
                pytest.fail(reason)
            pytest.skip(reason)

    return needed


@pytest.fixture(params=PROTOCOLS)
async def turns(request: pytest.FixtureRequest, start_server: StartServer, start_upstream: StartUpstream) -> Any:
    """``await turns("call", "text")``: the base URL of a server, and its upstream, which answers each request in turn
    with one of those and reasoning before it."""

    async def start(*answers: str, **options: Any) -> tuple[str, Upstream]:
        async def script(exchange: Exchange) -> None:
            step = answers[min(len(upstream.exchanges), len(answers)) - 1]
            await answering(request.param, "reasoning", step, **options)(exchange)

        upstream: Upstream = await start_upstream(script)
        server = await start_server(tables(upstream, request.param, retry={"attempts": 1}))
        return f"{server.url}/v1", upstream

    return start
