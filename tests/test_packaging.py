"""The wheel and the source distribution: whole, and at work in an empty folder."""

from __future__ import annotations

import asyncio
import configparser
import importlib.util
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest
import readme_renderer.markdown
import trove_classifiers

from streamserver import __version__
from tests.support.client import get_events, stream_url
from tests.support.server import running_server
from tests.support.sse import text_of

ROOT = Path(__file__).parent.parent
DISTRIBUTION = "llm-streamserver"
TEXT = {".py", ".md", ".toml", ".html", ".js", ".yaml", ".cfg", ".sh", ".service", ".css", ".txt", ""}

_INSTALL = re.compile(r"\b(?:pip3? install|uvx|uv tool run|uv add|pipx (?:run|install))((?:[ \t]+[^\s|&;)`]+)+)")
_EXTRA = re.compile(r"(?<![\w-])streamserver\[[a-z,]+\]")
_METADATA = re.compile(r"""\b(?:version|metadata|distribution|files|requires)\(["']streamserver["']\)""")
_DEPENDENCY = re.compile(r"""dependencies = \[[^]]*["']streamserver\b(?!-)""")


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


def metadata_of(wheel: Path) -> EmailMessage:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name), policy=default)
    assert isinstance(metadata, EmailMessage)
    return metadata


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
        "streamserver/web/client/client.js",
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
    rooms = ("streamserver", "providers", "tests", "benchmarks", "docs", "web", "deploy", "scripts")
    files = {path for room in rooms for path in (ROOT / room).rglob("*") if path.is_file()}
    files |= {*ROOT.glob("*.toml"), *ROOT.glob("*.md"), *ROOT.glob("*.cfg"), ROOT / "LICENSE"}
    files |= {ROOT / name for name in ("Dockerfile", ".dockerignore", "compose.yaml", "Procfile")}
    carried = {path.relative_to(ROOT) for path in files}
    made = {"node_modules", "__pycache__"}
    assert {path.as_posix() for path in carried if not made & set(path.parts)} <= names


def test_the_wheel_is_named_llm_streamserver_and_has_the_version_of_the_module(tmp_path: Path) -> None:
    metadata = metadata_of(build_wheel(tmp_path))
    assert (metadata["Name"], metadata["Version"]) == (DISTRIBUTION, __version__)


def wrong_names(text: str) -> Iterator[str]:
    """Yield text that would install, require or look up ``streamserver``: another project has that name on PyPI."""
    yield from (match.group() for match in _INSTALL.finditer(text) if "streamserver" in installed(match.group(1)))
    for pattern in (_EXTRA, _METADATA, _DEPENDENCY):
        yield from pattern.findall(text)


def installed(arguments: str) -> set[str]:
    """Return the distributions among the arguments of an installer, without quotes, extras and versions."""
    return {re.split(r"[\[=<>~!@]", word.strip("'\""))[0] for word in arguments.split()}


def repository_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.splitlines()]
    return [path for path in ROOT.rglob("*") if path.is_file()]  # unpacked from the source distribution


def test_no_file_tells_people_to_install_the_package_of_another_project() -> None:
    files = [path for path in repository_files() if path.suffix in TEXT and path.is_file() and path != Path(__file__)]
    assert len(files) > 200
    found = {path.relative_to(ROOT).as_posix(): list(wrong_names(path.read_text("utf-8", "replace"))) for path in files}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("pip install streamserver", True),
        ("pip install -U 'streamserver>=0.1'", True),
        ("needs redis: pip install 'streamserver[redis]'", True),
        ("uvx streamserver --provider echo", True),
        ("pipx run streamserver", True),
        ('dependencies = ["streamserver"]', True),
        ("requires streamserver[redis,otel]", True),
        ('version("streamserver")', True),
        ("pip install 'llm-streamserver[redis]'", False),
        ("uvx llm-streamserver --provider echo", False),
        ("pip install . && streamserver --provider echo", False),
        ("pip install ./docs/examples/streamserver-ollama", False),
        ('dependencies = ["llm-streamserver"]', False),
    ],
)
def test_wrong_names_finds_each_way_to_name_a_distribution(text: str, wrong: bool) -> None:
    assert bool(list(wrong_names(text))) is wrong


def test_long_description_renders_on_the_package_index(tmp_path: Path) -> None:
    metadata = metadata_of(build_wheel(tmp_path))
    assert metadata["Description-Content-Type"] == "text/markdown"
    warnings = io.StringIO()
    rendered = readme_renderer.markdown.render(str(metadata.get_payload()), stream=warnings)
    assert rendered is not None and "<h1" in rendered, warnings.getvalue()
    assert warnings.getvalue() == ""
    addresses = re.findall(r'(?:href|src)="([^"]*)"', rendered)
    assert addresses and [each for each in addresses if not each.startswith(("https:", "http:", "#"))] == []


def test_metadata_says_what_the_package_is_for(tmp_path: Path) -> None:
    metadata = metadata_of(build_wheel(tmp_path))
    assert set(metadata.get_all("Provides-Extra", ())) == {
        "clients",
        "dev",
        "docs",
        "otel",
        "redis",
        "test",
        "test-core",
    }
    assert metadata["License-Expression"] == "Apache-2.0"
    classifiers = metadata.get_all("Classifier", ())
    assert [each for each in classifiers if each not in trove_classifiers.classifiers] == []
    minor = int(metadata["Requires-Python"].removeprefix(">=3."))
    assert f"Programming Language :: Python :: 3.{minor}" in classifiers


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("package_metadata", ROOT / "scripts/package_metadata.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://example.com/owner/name.git", "https://example.com/owner/name"),
        ("https://user:secret@example.com/owner/name", "https://example.com/owner/name"),
        ("git@example.com:owner/name.git", "https://example.com/owner/name"),
        ("ssh://git@example.com/owner/name.git", "https://example.com/owner/name"),
        ("/srv/git/name", None),
        ("file:///srv/git/name", None),
        ("http://localhost/name", None),
        ("", None),
    ],
)
def test_page_of_a_remote_has_no_credentials(script: ModuleType, remote: str, page: str | None) -> None:
    assert script.page_of(remote) == page


def test_build_ends_with_one_line_when_python_is_too_old(script: ModuleType) -> None:
    script.check_python(">=3.11", (3, 11, 0))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or later, and this is 3\.10\.13"):
        script.check_python(">=3.11", (3, 10, 13))


def test_links_lead_to_the_repository_from_a_clone_and_from_its_source_distribution(
    script: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "clone").mkdir()
    for command in (("init", "-q"), ("remote", "add", "origin", "git@example.com:owner/name.git")):
        subprocess.run(["git", *command], cwd=tmp_path / "clone", check=True, timeout=60)
    repository = script.repository_of(tmp_path / "clone")
    found = script.urls(repository)
    assert found["Changelog"] == "https://example.com/owner/name/blob/main/CHANGELOG.md"
    lines = "".join(f"Project-URL: {name}, {url}\n" for name, url in found.items())
    (tmp_path / "PKG-INFO").write_text(f"Metadata-Version: 2.4\n{lines}\n# Text\n")
    assert script.repository_of(tmp_path) == repository
    assert script.urls(script.repository_of(tmp_path / "nowhere")) == {}
    text = "![A picture](docs/a.png)\n\nSee [the docs](docs/index.md#x), [this](#there) and [it](https://x.example/)."
    assert script.with_links(text, repository).startswith(
        f"See [the docs]({repository}/blob/main/docs/index.md#x), [this]("
    )
    assert script.with_links(text, None) == "See the docs, [this](#there) and [it](https://x.example/)."


def test_both_commands_start_the_program(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        scripts = configparser.ConfigParser()
        scripts.read_string(archive.read(name).decode())
    target = "streamserver.__main__:run"
    assert dict(scripts["console_scripts"]) == {"streamserver": target, DISTRIBUTION: target}
