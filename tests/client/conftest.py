"""Fixtures: each runtime of the clients, and a project with npm's packages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import WAIT_MS, running_chromium
from tests.client.project import Project
from tests.client.runtimes import Runtime
from tests.client.schedules import new_origin, running_runtime

NODE_MODULES = Path(__file__).parent / "node_modules"
expect.set_options(timeout=WAIT_MS)


@pytest.fixture
def origin() -> str:
    """Return the origin of the page in which Chromium runs the client."""
    return new_origin()


@pytest.fixture
async def browser(find_program: Callable[[str], str]) -> AsyncIterator[Browser]:
    async with running_chromium(find_program("chromium")) as chromium:
        yield chromium


@pytest.fixture(params=["python", "node", "chromium"])
async def runtime(
    request: pytest.FixtureRequest, find_program: Callable[[str], str], origin: str
) -> AsyncIterator[Runtime]:
    name = request.param
    async with running_runtime(name, None if name == "python" else find_program(name), origin) as runtime:
        yield runtime


@pytest.fixture
def node_modules(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the packages that ``npm ci --prefix tests/client`` installs."""
    if not NODE_MODULES.is_dir():
        reason = "needs npm ci --ignore-scripts --prefix tests/client"
        if request.config.getoption("--require-programs"):
            pytest.fail(reason)
        pytest.skip(reason)
    return NODE_MODULES


@pytest.fixture
async def project(tmp_path: Path, node_modules: Path, find_program: Callable[[str], str]) -> Project:
    """Return a project that has installed the JavaScript client."""
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder, find_program("node"))
    await project.install(node_modules)
    return project
