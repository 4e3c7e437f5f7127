"""The nginx configuration in the documentation, run as it is written there: it flushes, it tells users apart, and its
log has no prompt and no stream id."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import aiohttp

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import RawStream, until_listening
from tests.support.redis import free_port
from tests.support.upstream import one_and_later_two

DOCS = Path(__file__).parents[2] / "docs" / "proxies.md"


def configuration(folder: Path, port: int, backend: int) -> str:
    """The documented server, at ``port``, without the certificate."""
    found = re.search(r"```nginx\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    server = found[1].replace("127.0.0.1:8080", f"127.0.0.1:{backend}").replace("/var/log/nginx", str(folder))
    server = re.sub(r"^\s*ssl_.*\n", "", server, flags=re.MULTILINE).replace("443 ssl", f"127.0.0.1:{port}")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
    return (
        f"daemon off; pid {folder}/pid; user root; events {{}} error_log {folder}/main.log;\n"
        f"http {{ client_body_temp_path {folder}/client; {temporary}\n{server} }}"
    )


async def test_the_documented_nginx_flushes_tells_users_apart_and_logs_no_words(
    start_server: StartServer,
    start_upstream: StartUpstream,
    http: aiohttp.ClientSession,
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
    port = free_port()
    (tmp_path / "nginx.conf").write_text(configuration(tmp_path, port, server.port))
    process = await asyncio.create_subprocess_exec(
        find_program("nginx"), "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)
    )
    try:
        await until_listening(port)
        headers = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
        target = "/api/chat/stream?prompt=mArKpRoMpT"
        stream = await (await RawStream.request(port, target, headers=headers)).head()
        assert stream.status == 200
        assert [event.type for event in await stream.events(2)] == ["start", "message"], "nothing is held back"
        stream_id = stream.headers["x-stream-id"]
        again = await (await RawStream.request(port, target, headers={"X-Forwarded-For": "203.0.113.10"})).head()
        assert again.status == 429, "who a client says it is counts for nothing: both came from here"
        again.close()
        direct = {"X-Forwarded-For": "203.0.113.11"}
        other = await (await RawStream.request(server.port, target, headers=direct)).head()
        assert other.status == 200, "whom the proxy names is somebody else"
        other.close()
        attached = await (await RawStream.request(port, f"/api/chat/streams/{stream_id}")).head()
        more.set()
        assert [event.type for event in await stream.events()] == ["message", "done"]
        assert [event.type for event in await attached.events()] == ["start", "message", "message", "done"]
        stream.close()
        attached.close()
    finally:
        process.terminate()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
    logged = (tmp_path / "chat.log").read_text()
    assert len(logged.splitlines()) == 3 and "id=" in logged
    for each in (logged, (tmp_path / "chat.error.log").read_text(), (tmp_path / "main.log").read_text()):
        assert "mArK" not in each and stream_id not in each
