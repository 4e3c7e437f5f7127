"""A package with an entry point becomes a kind by being installed; one that is broken stops nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from providers.registry import GROUP
from tests.conftest import StartServer, StartUpstream
from tests.support.client import get_events, stream_url
from tests.support.sse import text_of
from tests.support.upstream import Exchange

EXAMPLE = Path(__file__).parents[2] / "docs/examples/streamserver-ollama"
PROGRAM = EXAMPLE.with_name("streamserver-program")
SOURCES = ("pyproject.toml", "streamserver_ollama.py")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Return the environment of a program that has the example installed, which needs no network."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            folder,
            EXAMPLE,
            PROGRAM,
        ],
        check=True,
        timeout=120,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    return importable(folder)


def importable(folder: Path) -> Mapping[str, str]:
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


async def ollama(exchange: Exchange) -> None:
    """Serve Ollama's API, which answers with what it was asked."""
    asked = exchange.json()
    await exchange.send("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n")
    said = asked["messages"][-1]["content"]
    await exchange.send(
        f'{{"message": {{"content": "{said}"}}, "done": false}}\n{{"message": {{"content": "!"}}, "done": fal'
    )
    await exchange.send('se}\n{"message": {"content": ""}, "done": true, "prompt_eval_count": 3, "eval_count": 2}\n')


async def test_example_is_a_kind_when_it_is_installed(
    installed: Mapping[str, str],
    start_server: StartServer,
    start_upstream: StartUpstream,
    http: aiohttp.ClientSession,
) -> None:
    upstream = await start_upstream(ollama)
    table = {"kind": "ollama", "model": "llama3.2", "base_url": upstream.url}
    server = await start_server({"provider": {"default": "mine"}, "providers": {"mine": table}}, environ=installed)
    events = await get_events(http, stream_url(server.url, "hello", max_tokens=9))
    assert text_of(events) == "hello!"
    done = events[-1].json()
    assert (done["provider"], done["finish_reason"]) == ("mine", "stop")
    assert done["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "estimated": False}
    sent = upstream.exchanges[0]
    assert (sent.path, sent.json()["options"]) == ("/api/chat", {"num_predict": 9, "temperature": None})


async def test_example_streams_what_its_program_writes(
    installed: Mapping[str, str], start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    table = {"kind": "program", "command": ["tr", "a-z", "A-Z"]}
    server = await start_server({"provider": {"default": "mine"}, "providers": {"mine": table}}, environ=installed)
    events = await get_events(http, stream_url(server.url, "hello"))
    assert (text_of(events), events[-1].json()["finish_reason"]) == ("HELLO", "stop")


@pytest.mark.parametrize(
    ("head", "asked", "code"),
    [
        ("", 2, "upstream_disconnected"),
        ("HTTP/1.1 500 X\r\nContent-Length: 0\r\n", 2, "upstream_error"),
        ("HTTP/1.1 200 OK\r\n", 1, "upstream_disconnected"),
    ],
    ids=["no answer", "500", "an answer that ends at once"],
)
async def test_example_is_asked_again_only_when_no_answer_began(
    installed: Mapping[str, str],
    start_server: StartServer,
    start_upstream: StartUpstream,
    http: aiohttp.ClientSession,
    head: str,
    asked: int,
    code: str,
) -> None:
    async def fails(exchange: Exchange) -> None:
        if head:
            await exchange.send(f"{head}Connection: close\r\n\r\n")

    upstream = await start_upstream(fails)
    table = {"kind": "ollama", "model": "llama3.2", "base_url": upstream.url}
    config = {"provider": {"default": "mine"}, "providers": {"mine": table}, "retry": {"attempts": 2, "max_wait": 0}}
    server = await start_server(config, environ=installed)
    events = await get_events(http, stream_url(server.url))
    assert (events[-1].json()["code"], len(upstream.exchanges)) == (code, asked)
    assert (await server.record())["attempts"] == asked


@pytest.mark.parametrize("test", [EXAMPLE / "test_streamserver_ollama.py", PROGRAM / "test_streamserver_program.py"])
async def test_example_passes_the_contract_that_its_author_runs(
    installed: Mapping[str, str], tmp_path: Path, test: Path
) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["-p", "no:cacheprovider", str(test)]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env={**os.environ, **installed},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


def test_example_of_a_plug_in_is_short() -> None:
    assert sum(len((EXAMPLE / name).read_text("utf-8").splitlines()) for name in SOURCES) < 65


def broken_package(folder: Path) -> Path:
    """Install a plug-in with a module that raises as it is imported, as an installer would leave it."""
    info = folder / "streamserver_broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: streamserver-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nbroken = streamserver_broken:KIND\n")
    (folder / "streamserver_broken.py").write_text("import no_such_module_anywhere\n")
    return folder


async def test_plug_in_is_named_with_its_error_when_it_cannot_be_imported(
    tmp_path: Path, start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    environ = importable(broken_package(tmp_path / "site"))
    server = await start_server(environ=environ)
    assert text_of(await get_events(http, stream_url(server.url))) == "hello big world"
    async with asyncio.timeout(60):
        while not (records := server.records("plugin")):
            await asyncio.sleep(0.01)
    assert [record["plugin"] for record in records] == ["broken"]
    assert "no_such_module_anywhere" in records[0]["reason"]
