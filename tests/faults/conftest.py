"""The harness of a module, on the event loop that the server runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio

from streamserver.loop import EventLoop
from tests.faults.harness import FaultHarness, start_harness

pytest.register_assert_rewrite("tests.faults.check")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"server": EventLoop}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FaultHarness]:
    """Run servers of the kind that the module's ``KIND`` names."""
    async with start_harness(request.module.KIND, tmp_path_factory.mktemp("harness")) as harness:
        yield harness
