"""The wheel: whole, and at work in an empty folder."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import zipfile
from pathlib import Path

import aiohttp

from tests.support.client import get_events, stream_url
from tests.support.server import running_server
from tests.support.sse import text_of

ROOT = Path(__file__).parent.parent


def build_wheel(folder: Path) -> Path:
    """Build without a network: the backend is among the test dependencies."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)],
        check=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


async def test_the_wheel_carries_the_page_and_the_defaults_and_serves_them(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    wheel = await asyncio.to_thread(build_wheel, tmp_path / "dist")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(installed)
    assert {
        "streamserver/config.toml",
        "streamserver/web/index.html",
        "streamserver/py.typed",
        "providers/py.typed",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]
    assert (installed / "streamserver/config.toml").read_text() == (ROOT / "config.toml").read_text()
    async with running_server(tmp_path / "empty", environ={"PYTHONPATH": str(installed)}) as server:
        assert text_of(await get_events(http, stream_url(server.url))) == "hello big world"
        async with http.get(server.url + "/") as response:
            assert await response.text() == (ROOT / "web/index.html").read_text()
