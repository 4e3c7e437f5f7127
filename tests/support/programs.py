"""Programs from outside PyPI that some tests need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

INSTALL = {
    "chromium": "apt-get install chromium",
    "nginx": "apt-get install nginx-light",
    "openssl": "apt-get install openssl",
    "redis-server": "apt-get install redis-server",
}


def program(name: str, request: pytest.FixtureRequest) -> str:
    """The path of a program. Without it the test is skipped; with ``--require-programs`` it fails."""
    path = shutil.which(name) or next((str(p) for p in (Path("/usr/sbin") / name,) if p.exists()), None)
    if path is None:
        reason = f"needs {name}: {INSTALL[name]}"
        if request.config.getoption("--require-programs"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
