"""The proxy configurations of the documentation, run as they are written there: they pass each token on at once, tell
users apart, and log no prompt and no stream id."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import RawStream, until_listening
from tests.support.redis import free_port
from tests.support.upstream import one_and_later_two

DOCS = Path(__file__).parents[2] / "docs" / "proxies.md"


def documented(language: str, folder: Path, backend: int) -> str:
    """The documented configuration, before ``backend``, with its logs in ``folder``."""
    found = re.search(rf"```{language}\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    text = found[1].replace("127.0.0.1:8080", f"127.0.0.1:{backend}")
    return re.sub(r"/var/log/\w+", str(folder), text)


def nginx(folder: Path, port: int, backend: int) -> list[str]:
    server = re.sub(r"^\s*ssl_.*\n", "", documented("nginx", folder, backend), flags=re.MULTILINE)
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; user root; events {{}} error_log {folder}/main.log;\n"
        f"http {{ client_body_temp_path {folder}/client; {temporary}\n"
        f"{server.replace('443 ssl', f'127.0.0.1:{port}')} }}"
    )
    return ["-c", f"{folder}/nginx.conf", "-p", str(folder)]


def caddy(folder: Path, port: int, backend: int) -> list[str]:
    site = documented("caddyfile", folder, backend).replace("chat.example.com", f"http://:{port}", 1)
    (folder / "Caddyfile").write_text(f"{{\n    admin off\n}}\n{site}")
    return ["run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


def haproxy(folder: Path, port: int, backend: int) -> list[str]:
    text = documented("haproxy", folder, backend)
    (folder / "haproxy.cfg").write_text(re.sub(r"bind :443 .*", f"bind 127.0.0.1:{port}", text))
    return ["-f", f"{folder}/haproxy.cfg", "-db"]


PROXIES = {"nginx": nginx, "caddy": caddy, "haproxy": haproxy}


@asynccontextmanager
async def running(program: str, arguments: list[str], folder: Path, port: int) -> AsyncIterator[None]:
    """Run a proxy until the block is left; what it prints is logged in ``folder``."""
    environ = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "output.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(program, *arguments, env=environ, stdout=output, stderr=output)
        try:
            await until_listening(port)
            yield
        finally:
            process.terminate()
            await process.wait()
            process._transport.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PROXIES)
async def test_documented_proxy_passes_tokens_on_tells_users_apart_and_logs_no_words(
    name: str,
    start_server: StartServer,
    start_upstream: StartUpstream,
    find_program: Callable[[str], str],
    tmp_path: Path,
) -> None:
    more = asyncio.Event()
    upstream = await start_upstream(one_and_later_two(more))
    server = await start_server(
        {
            **openai_at(upstream),
            "server": {"trusted_proxies": ["127.0.0.1"], "allowed_hosts": ["chat.example.com"]},
            "limits": {"requests_per_minute": 1},
        }
    )
    port, folder = free_port(), tmp_path / "proxy"
    folder.mkdir()
    async with running(find_program(name), PROXIES[name](folder, port, server.port), folder, port):
        headers = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
        target = "/api/chat/stream?prompt=mArKpRoMpT"
        stream = await (await RawStream.request(port, target, headers=headers)).head()
        assert stream.status == 200
        assert [event.type for event in await stream.events(2)] == ["start", "message"], "nothing is held back"
        stream_id = stream.headers["x-stream-id"]
        again = await (await RawStream.request(port, target, headers={"X-Forwarded-For": "203.0.113.10"})).head()
        assert again.status == 429, "the address that a client claims counts for nothing: both came from here"
        again.close()
        direct = {"X-Forwarded-For": "203.0.113.11"}
        other = await (await RawStream.request(server.port, target, headers=direct)).head()
        assert other.status == 200, "an address that the proxy names is another user"
        other.close()
        attached = await (await RawStream.request(port, f"/api/chat/streams/{stream_id}")).head()
        more.set()
        assert [event.type for event in await stream.events()] == ["message", "done"]
        assert [event.type for event in await attached.events()] == ["start", "message", "message", "done"]
        stream.close()
        attached.close()
        long = await (await RawStream.request(port, f"/api/chat/stream?prompt={'mArK' * 10_000}")).head()
        assert "x-request-id" in long.headers, "a long address reaches the server, which refuses it"
        long.close()
    logs = {path.name: path.read_text() for path in folder.glob("*.log")}
    access = logs.get("chat.log", logs["output.log"])
    assert access.count("GET") == 4, logs
    assert not [name for name, text in logs.items() if "mArK" in text or stream_id in text]
