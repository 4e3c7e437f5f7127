"""Fixtures: Anthropic's SDKs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.messages.conftest import client_of

__all__ = ["client_of"]

FOLDER = Path(__file__).parent


@pytest.fixture
def node(request: pytest.FixtureRequest, find_program: Callable[[str], str]) -> str:
    """The path of Node, beside which Anthropic's SDK is installed."""
    if not (FOLDER / "node_modules").is_dir():
        reason = "needs npm ci --ignore-scripts --prefix tests/clients/anthropic"
        if request.config.getoption("--require-programs"):
            pytest.fail(reason)
        pytest.skip(reason)
    return find_program("node")
