"""Fixtures: servers and clients; and what each test has shown of its client, for the table in the documentation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import NoReturn

import pytest
import pytest_asyncio

from tests.clients.bench import ClientHarness, running_bench
from tests.clients.client import OtherClient
from tests.clients.table import FeatureResult, note
from tests.support.programs import miss, program


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ClientHarness]:
    """Run servers and clients, which the tests of a module share."""
    async with running_bench(tmp_path_factory.mktemp("bench"), _Needs(request)) as bench:
        yield bench


class _Needs:
    """Programs and packages that may be missing."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def program(self, name: str) -> str:
        return program(name, self._request)

    def package(self, client: OtherClient, name: str) -> NoReturn:
        install = "pip install -e '.[clients]'"
        if client.language == "node":
            install = "npm ci --ignore-scripts --prefix tests/clients/node"
        miss(f"needs {name}: {install}", self._request)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    features: tuple[str, ...] = getattr(getattr(item, "function", None), "features", ())
    if features and (report.failed or (report.passed and report.when == "call")):
        client, version = _client_of(item)
        note(FeatureResult(str(client), version, features, report.passed))
    return report


def _client_of(item: pytest.Item) -> tuple[OtherClient, str]:
    """Return the client that a test runs, and its version."""
    arguments = getattr(item, "funcargs", {})
    module = getattr(item, "module", None)
    if "bench" in arguments:
        client: OtherClient = arguments["client"]
        return client, arguments["bench"].versions.get(client) or getattr(module, "VERSION", "")
    return module.CLIENT, module.VERSION  # type: ignore[union-attr]
