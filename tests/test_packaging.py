"""The wheel and the source distribution: whole, and at work in an empty folder."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import aiohttp

from tests.support.client import get_events, stream_url
from tests.support.server import running_server
from tests.support.sse import text_of

ROOT = Path(__file__).parent.parent


def build_wheel(folder: Path, source: Path = ROOT) -> Path:
    """Build without a network: the backend is among the test dependencies."""
    pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
    subprocess.run([*pip, "-w", str(folder), str(source)], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


def build_sdist(folder: Path) -> Path:
    hatchling = (sys.executable, "-m", "hatchling", "build", "-t", "sdist")
    subprocess.run([*hatchling, "-d", str(folder)], cwd=ROOT, check=True, timeout=120, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    return sdist


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


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


def test_the_source_distribution_makes_the_same_wheel_and_carries_what_the_tests_need(tmp_path: Path) -> None:
    sdist = build_sdist(tmp_path / "sdist")
    assert names_in(build_wheel(tmp_path / "b", sdist)) == names_in(build_wheel(tmp_path / "a"))
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    rooms = ("streamserver", "providers", "tests", "benchmarks", "docs", "web")
    files = {path for room in rooms for path in (ROOT / room).rglob("*") if path.is_file() and path.suffix != ".pyc"}
    files |= {*ROOT.glob("*.toml"), *ROOT.glob("*.md"), *ROOT.glob("*.cfg"), ROOT / "LICENSE"}
    assert {path.relative_to(ROOT).as_posix() for path in files} <= names
