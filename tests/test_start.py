"""Starting and stopping the server, as its user does."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import RawStream, get_events, stream_url
from tests.support.server import clean_environ
from tests.support.upstream import Exchange, chunk, one_and_later_two


def run(*arguments: str, cwd: Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a start that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "streamserver", *arguments],
        cwd=cwd,
        env={**clean_environ(), **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_start_announces_the_address_the_provider_and_what_to_try(start_server: StartServer) -> None:
    server = await start_server()
    assert f"serves on http://127.0.0.1:{server.port}" in server.announced
    assert "echo" in server.announced
    assert "curl -N" in server.announced


async def test_start_without_a_key_names_it_and_fails_only_that_provider(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    providers = {
        "openai": {"kind": "openai", "model": "gpt-4o-mini", "api_key_env": "OPENAI_API_KEY"},
        "echo": {"kind": "echo", "delay_ms": 0},
    }
    server = await start_server({"provider": {"default": "openai"}, "providers": providers})
    while "missing" not in server.announced:
        line = await asyncio.wait_for(server.process.stdout.readline(), 60)
        assert line, server.announced
        server.announced += line.decode()
    missing = "OPENAI_API_KEY is not set"
    assert missing in server.announced
    start, error = await get_events(http, stream_url(server.url))
    assert (start.type, error.type, error.json()["code"]) == ("start", "error", "provider_auth")
    assert error.json()["message"] == f"This server has no usable key for the provider: {missing}."
    assert error.json()["usage"] is None, "nothing was sent"
    assert (await get_events(http, stream_url(server.url, provider="echo")))[-1].type == "done"
    async with http.get(f"{server.url}/api/providers") as response:
        listed = await response.json()
    assert listed["default"] == "openai"
    echo = {"name": "echo", "kind": "echo", "model": "echo", "ready": True, "reason": None}
    openai = {"name": "openai", "kind": "openai", "model": "gpt-4o-mini", "ready": False, "reason": missing}
    for wanted in (echo, openai):
        (each,) = [each for each in listed["providers"] if each["name"] == wanted["name"]]
        assert each.items() >= wanted.items()


async def test_check_uses_the_defaults_in_an_empty_folder(tmp_path: Path) -> None:
    done = run("check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Valid: built-in defaults" in done.stdout
    assert "# warning: OPENAI_API_KEY is not set: the default provider, openai, needs it" in done.stdout
    assert 'default = "openai"' in done.stdout


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[server]\nprot = 1", ["config.toml", "server.prot", "did you mean 'port'"]),
        ("[timeouts]\nidle = -1", ["config.toml", "timeouts.idle", "-1", "more than 0"]),
        ("[provider]\ndefault = 'opnai'", ["config.toml", "provider.default", "opnai", "openai"]),
        ("[providers.x]\nkind = 'ecko'", ["config.toml", "providers.x.kind", "ecko", "did you mean 'echo'"]),
        ("[providers.x]\nkind = 'echo'\ndelay = 3", ["config.toml", "providers.x.delay", "delay_ms"]),
        ("[server]\nworkers = 2", ["config.toml", "server.workers", "resume.store"]),
        ("[server", ["config.toml", "TOML"]),
    ],
)
def test_start_is_refused_in_one_line_when_the_config_is_wrong(tmp_path: Path, config: str, said: list[str]) -> None:
    (tmp_path / "config.toml").write_text(config)
    done = run("--port", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert all(word in done.stderr for word in said), done.stderr


def test_start_is_refused_in_one_line_when_the_log_of_tls_keys_cannot_be_written(tmp_path: Path) -> None:
    ended = run("--provider", "echo", cwd=tmp_path, environ={"SSLKEYLOGFILE": "/missing/keys"})
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "SSLKEYLOGFILE: /missing/keys cannot be written" in line


def test_start_is_refused_in_one_line_when_the_port_is_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--provider", "echo", "--port", str(port), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"streamserver: 127.0.0.1:{port} is in use; choose another port with --port, or stop what listens there\n"
    )


def test_start_is_refused_without_keys_on_other_addresses_than_loopback(tmp_path: Path) -> None:
    done = run("--provider", "echo", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert "STREAMSERVER_KEYS" in done.stderr and "allow_anonymous" in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_every_path_needs_a_key_but_pages_and_a_known_stream(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server(
        {"providers": {"echo": {"kind": "echo", "hang_after": 1}}},
        environ={"STREAMSERVER_KEYS": "anna:secret-of-anna,b:x"},
    )
    for path in ("/", "/healthz", "/readyz"):
        async with http.get(server.url + path) as response:
            assert response.status == 200
    refused: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer wrong"},
        {"X-API-Key": "anna"},
        {"Last-Event-ID": ""},
        {"Last-Event-ID": "x"},
    )
    for headers in refused:
        for path in ("/api/chat/stream?prompt=a", "/api/providers", "/v1/models", "/api/nothing", "/metrics"):
            async with http.get(server.url + path, headers=headers) as response:
                assert response.status == 401, path
                body = await response.json(content_type=None)
                assert body.get("code") == "unauthorized" or body["error"]["code"] == "invalid_api_key"
    for headers in ({"Authorization": "Bearer secret-of-anna"}, {"X-API-Key": "secret-of-anna"}):
        stream = await (await RawStream.request(server.port, "/api/chat/stream?prompt=a+b", headers=headers)).head()
        path = f"/api/chat/streams/{stream.headers['x-stream-id']}"
        other = await (await RawStream.request(server.port, path)).head()
        assert other.status == 200, "the id suffices to read"
        position = {"Last-Event-ID": f"{stream.headers['x-stream-id']}:0"}
        third = await (await RawStream.request(server.port, "/api/chat/stream?prompt=a", headers=position)).head()
        assert third.status == 200, "by a position as well"
        third.close()
        for doubled in (
            f"last_event_id={position['Last-Event-ID']}&last_event_id=x",
            f"last_event_id={position['Last-Event-ID']}&y=1",
        ):
            # The first of two is no position to the handler: it is none to the authentication either.
            async with http.get(f"{server.url}/api/chat/stream?prompt=a&{doubled}") as response:
                assert response.status == 401, doubled
        async with http.delete(server.url + path) as response:
            assert response.status == 204, "and stop"
        stream.close()
        other.close()
    assert (await server.record())["user"] == "anna"
    assert "secret-of-anna" not in server.log


async def test_start_warns_when_the_descriptor_limit_is_low(tmp_path: Path) -> None:
    command = f"ulimit -n 100; exec {sys.executable} -m streamserver --provider echo --port 0"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command), cwd=tmp_path, env=clean_environ(), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(60):
            while not lines or "max_streams" not in lines[-1]:
                lines.append((await process.stdout.readline()).decode())
                assert lines[-1], lines
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
    assert "warning" in lines[-1] and "100" in lines[-1]


async def pausing(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("one"))
    await exchange.until_closed(60)


async def test_sigterm_finishes_running_streams_and_refuses_new_ones(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    more = asyncio.Event()
    upstream = await start_upstream(one_and_later_two(more))
    server = await start_server({**openai_at(upstream), "server": {"drain_seconds": 60}})
    stream = await (await RawStream.request(server.port, "/api/chat/stream?prompt=x")).head()
    await stream.events(2)
    server.terminate()
    await until_draining(http, server.url)
    async with http.get(stream_url(server.url)) as response:
        assert response.status == 503
        assert (await response.json(content_type=None))["code"] == "shutting_down"
        assert "Retry-After" in response.headers
    attached = await get_events_later(server.port, stream.headers["x-stream-id"])
    more.set()
    assert [event.type for event in await stream.events()] == ["message", "done"]
    assert [event.type for event in await attached.events()] == ["start", "message", "message", "done"]
    stream.close()
    attached.close()
    assert await server.wait() == 0


async def until_draining(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until the server drains: two signals at once may arrive as one."""
    async with asyncio.timeout(60):
        while True:
            async with http.get(f"{url}/readyz") as response:
                if response.status == 503:
                    return


async def get_events_later(port: int, stream_id: str) -> RawStream:
    return await (await RawStream.request(port, f"/api/chat/streams/{stream_id}")).head()


@pytest.mark.parametrize("how", ["drain time", "second signal", "interrupt"])
async def test_stream_ends_with_shutting_down_when_it_outlasts_the_drain(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, how: str
) -> None:
    upstream = await start_upstream(pausing)
    config: dict[str, Any] = {"server": {"drain_seconds": 0.1 if how == "drain time" else 600}}
    server = await start_server({**openai_at(upstream), **config})
    stream = await (await RawStream.request(server.port, "/api/chat/stream?prompt=x")).head()
    await stream.events(2)
    server.send(signal.SIGINT if how == "interrupt" else signal.SIGTERM)
    if how == "second signal":
        await until_draining(http, server.url)
        server.terminate()
    events = await stream.events()
    assert [event.json()["code"] for event in events] == ["shutting_down"]
    stream.close()
    assert await server.wait() == 0
    await upstream.all_closed()
    assert (await server.record())["status"] == "shutting_down"


async def test_streams_end_with_shutting_down_when_signals_flood_the_drain(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(pausing)
    server = await start_server({**openai_at(upstream), "server": {"drain_seconds": 0.2}})
    streams = [await (await RawStream.request(server.port, "/api/chat/stream?prompt=x")).head() for _ in range(20)]
    for stream in streams:
        await stream.events(2)
    server.terminate()
    await until_draining(http, server.url)
    for number in range(2000):
        if server.process.returncode is not None:
            break
        server.send((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[number % 3])
        await asyncio.sleep(0.01)
    for stream in streams:
        assert [event.json()["code"] for event in await stream.events()] == ["shutting_down"]
        stream.close()
    assert await server.wait() == 0


async def test_demo_page_is_served(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server()
    async with http.get(server.url + "/") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    async with http.get(server.url + "/../config.toml") as response:
        assert response.status == 404
