"""The documented proxies, run as they are written, before a server with the documented settings.

They hold nothing back, they pass on at once that a reader has left, they tell users apart, and their logs have no
prompt and no stream id.
"""

from __future__ import annotations

import asyncio
import re
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import RawStream
from tests.support.ports import free_port
from tests.support.programs import running_program
from tests.support.upstream import one_and_later_two

DOCS = Path(__file__).parents[2] / "docs" / "proxies.md"
HOST = "chat.example.com"
TARGET = "/api/chat/stream?prompt=mArKpRoMpT"


def block(language: str) -> str:
    """Return the page's first block in ``language``."""
    found = re.search(rf"```{language}\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def nginx(folder: Path, port: int, backend: int) -> list[str]:
    server = block("nginx").replace("127.0.0.1:8080", f"127.0.0.1:{backend}").replace("/var/log/nginx", str(folder))
    server = re.sub(r"^\s*ssl_.*\n", "", server, flags=re.MULTILINE).replace("443 ssl", f"127.0.0.1:{port}")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; user root; events {{}} error_log {folder}/main.log;\n"
        f"http {{ client_body_temp_path {folder}/client; {temporary}\n{server} }}"
    )
    return ["-c", str(folder / "nginx.conf"), "-p", str(folder)]


def caddy(folder: Path, port: int, backend: int) -> list[str]:
    site = block("caddyfile").replace("127.0.0.1:8080", f"127.0.0.1:{backend}").replace("/var/log/caddy", str(folder))
    # Not by a port in the site's name: Caddy would look for the site's logger under that name, and not find it.
    site = site.replace(f"{HOST} {{", f"http://{HOST} {{\n    bind 127.0.0.1", 1)
    (folder / "Caddyfile").write_text(site.replace("{", f"{{\n    admin off\n    http_port {port}", 1))
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def haproxy(folder: Path, port: int, backend: int) -> list[str]:
    text = block("haproxy").replace("127.0.0.1:8080", f"127.0.0.1:{backend}")
    text = re.sub(r"bind :443 ssl crt \S+", f"bind 127.0.0.1:{port}", text)
    (folder / "haproxy.cfg").write_text(text)
    return ["-db", "-f", str(folder / "haproxy.cfg")]


PROXIES: dict[str, Callable[[Path, int, int], list[str]]] = {"nginx": nginx, "caddy": caddy, "haproxy": haproxy}


async def ask(port: int, target: str, address: str = "", **headers: str) -> RawStream:
    """Return the answer to a client that claims to be ``address``."""
    claimed = {"X-Forwarded-For": address, "Forwarded": f"for={address}"} if address else {}
    stream = await RawStream.request(port, target, headers={**claimed, **headers}, host=HOST)
    return await stream.head()


def documented_settings() -> dict[str, Any]:
    return tomllib.loads(block("toml"))


@pytest.mark.parametrize("name", PROXIES)
async def test_documented_proxy_holds_nothing_back_tells_users_apart_and_logs_no_words(
    start_server: StartServer,
    start_upstream: StartUpstream,
    find_program: Callable[[str], str],
    tmp_path: Path,
    name: str,
) -> None:
    more = asyncio.Event()
    upstream = await start_upstream(one_and_later_two(more))
    documented = documented_settings()["server"]
    server = await start_server({**openai_at(upstream), "server": documented, "limits": {"requests_per_minute": 1}})
    port = free_port()
    arguments = PROXIES[name](tmp_path, port, server.port)
    async with running_program(find_program(name), arguments, tmp_path, port):
        stream = await ask(port, TARGET, "203.0.113.9")
        assert stream.status == 200
        assert [event.type for event in await stream.events(2)] == ["start", "message"], "nothing is held back"
        stream_id = stream.headers["x-stream-id"]
        again = await ask(port, TARGET, "203.0.113.10")
        assert again.status == 429, "a client's claim counts for nothing: both came from here"
        again.close()
        direct = await RawStream.request(server.port, TARGET, headers={"X-Forwarded-For": "203.0.113.11"})
        other = await direct.head()
        assert other.status == 200, "the proxy's word counts"
        leaving = await ask(port, f"/api/chat/streams/{other.headers['x-stream-id']}")
        await leaving.events(2)
        other.close()
        leaving.close()
        await upstream.exchanges[1].until_closed()  # the provider is silent: no token tells the proxy
        attached = await ask(port, f"/api/chat/streams/{stream_id}")
        more.set()
        assert [event.type for event in await stream.events()] == ["message", "done"]
        assert [event.type for event in await attached.events()] == ["start", "message", "message", "done"]
        stream.close()
        attached.close()
    logs = {path.name: path.read_text("utf-8", "replace") for path in tmp_path.glob("*.log")}
    assert sum(text.count("429") for text in logs.values()) >= 1, "requests are logged"
    for text in logs.values():
        assert "mArK" not in text and stream_id not in text


@pytest.mark.parametrize("name", ["nginx", "caddy"])
async def test_documented_proxy_logs_no_words_when_the_server_is_away(
    find_program: Callable[[str], str], tmp_path: Path, name: str
) -> None:
    """HAProxy is left out: it tries for 3 s, and has one log format for everything, without an address."""
    port = free_port()
    with socket.socket() as away:
        away.bind(("127.0.0.1", 0))  # and does not listen
        arguments = PROXIES[name](tmp_path, port, away.getsockname()[1])
        async with running_program(find_program(name), arguments, tmp_path, port):
            refused = await ask(port, TARGET)
            assert refused.status == 502
            refused.close()
    logs = [path.read_text("utf-8", "replace") for path in tmp_path.glob("*.log")]
    assert any("502" in text for text in logs), "requests are logged"
    assert not any("mArK" in text for text in logs)


@pytest.mark.parametrize("name", PROXIES)
async def test_documented_proxy_and_settings_serve_with_a_documented_key_file(
    start_server: StartServer, find_program: Callable[[str], str], tmp_path: Path, name: str
) -> None:
    """Every setting of the page is in force, and every answer is one that a user expects."""
    tables = documented_settings()
    assert tables["auth"].keys() == {"keys_file"}
    server = await start_server(
        {"server": tables["server"], "auth": {"keys_env": "PROXY_KEYS"}},
        environ={"PROXY_KEYS": "anna:a-long-enough-key-of-anna"},
    )
    port = free_port()
    arguments = PROXIES[name](tmp_path, port, server.port)
    async with running_program(find_program(name), arguments, tmp_path, port):
        for path, headers, status in (
            ("/", {}, 200),
            ("/healthz", {}, 200),
            (TARGET, {}, 401),
            (TARGET, {"Authorization": "Bearer a-long-enough-key-of-anna"}, 200),
        ):
            answer = await ask(port, path, **headers)
            assert answer.status == status, path
            answer.close()
    async with aiohttp.ClientSession() as http, http.get(server.url, headers={"Host": "evil.example.com"}) as response:
        assert response.status == 403


def test_documented_haproxy_does_not_wait_for_more_to_send() -> None:
    """Without it the kernel holds the first token back for up to 200 ms, which no answer shows."""
    assert "option http-no-delay" in block("haproxy")
