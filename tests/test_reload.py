"""Another configuration without a restart: what runs goes on, what starts is new, what is broken changes nothing."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import tomli_w

from streamserver.config import Settings
from streamserver.http.keys import new_key
from streamserver.reload import AT_START
from tests.conftest import StartServer, StartUpstream
from tests.support.client import RawStream, get_events, stream_url
from tests.support.server import DRAIN_SECONDS, ServerProcess
from tests.support.sse import text_of
from tests.support.upstream import Exchange, answer, chunk

ECHO = {"kind": "echo", "delay_ms": 0}
LIVE = {
    "server": "keepalive_seconds send_timeout_seconds trusted_proxies allowed_hosts",
    "provider": "default fallback",
    "providers": "openai anthropic echo",
    "limits": "max_prompt_chars max_body_bytes max_tokens max_streams max_streams_per_user max_readers_per_stream "
    "requests_per_minute tokens_per_day",
    "timeouts": "first_token idle total headers body",
    "retry": "attempts max_wait",
    "resume": "grace_seconds max_grace_seconds retention_seconds attach_seconds max_log_bytes max_total_bytes",
    "auth": "keys_env keys_file allow_anonymous cors_origins users",
    "log": "level format",
}
"""What is read anew from the settings in force, or from what is made of them again, wherever it is needed."""


def test_every_setting_is_either_live_or_said_to_wait_for_a_restart() -> None:
    every = {f"{section}.{key}" for section, keys in msgspec.to_builtins(Settings()).items() for key in keys}
    live = {f"{section}.{key}" for section, keys in LIVE.items() for key in keys.split()}
    assert live.isdisjoint(AT_START)
    assert live | set(AT_START) == every


async def logged(server: ServerProcess, count: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while len(found := server.records("reload")) < count:
            await asyncio.sleep(0.01)
    return found


def write(folder: Path, config: dict[str, Any] | str) -> None:
    # Without these it would say what waits for a restart.
    same = {"log": {"format": "json"}, "server": {"drain_seconds": DRAIN_SECONDS}}
    text = config if isinstance(config, str) else tomli_w.dumps({**same, **config})
    (folder / "server1" / "config.toml").write_text(text, "utf-8")


async def test_switching_the_provider_takes_no_restart_and_cuts_nothing(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    more = asyncio.Event()

    async def pausing(exchange: Exchange) -> None:
        exchange.keep_alive = True
        await exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for text in (chunk("old"), chunk(" still"), chunk(finish="stop")):
            await exchange.send(f"{len(text):x}\r\n{text}\r\n")
            await more.wait()
        await exchange.send("0\r\n\r\n")

    old, new = await start_upstream(pausing), await start_upstream(answer("new"))

    def config(url: str) -> dict[str, Any]:
        return {
            "provider": {"default": "up"},
            "providers": {"up": {"kind": "openai", "model": "m", "base_url": f"{url}/v1"}, "echo": ECHO},
        }

    server = await start_server(config(old.url))
    running = await (await RawStream.request(server.port, "/api/chat/stream?prompt=x")).head()
    await running.events(2)
    write(tmp_path, config(new.url))
    server.send(signal.SIGHUP)
    await logged(server)
    assert text_of(await get_events(http, stream_url(server.url))) == "new"
    more.set()
    rest = await running.events()
    assert [event.type for event in rest] == ["message", "done"]
    assert rest[0].data == " still"
    running.close()
    await old.all_closed()  # what nobody uses any more is closed, though it was kept alive
    write(tmp_path, {"provider": {"default": "echo"}, "providers": {"echo": ECHO}})
    server.send(signal.SIGHUP)
    await logged(server, 2)
    assert text_of(await get_events(http, stream_url(server.url))) == "hello big world"


async def test_a_broken_file_changes_nothing_and_says_why(
    start_server: StartServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    server = await start_server()
    broken = (
        ("[provider", "is not TOML"),
        ('[provider]\ndefault = "nobody"', "provider.default"),
        ("[limits]\nmax_streems = 1", "max_streams"),
        ('[auth]\nkeys_file = "nowhere"', "nowhere: cannot be read"),
    )
    for number, (text, said) in enumerate(broken, start=1):
        write(tmp_path, text)
        server.send(signal.SIGHUP)
        record = (await logged(server, number))[-1]
        assert record["level"] == "ERROR" and said in record["message"], record
        assert "nothing changed" in record["message"]
        assert (await get_events(http, stream_url(server.url)))[-1].type == "done"


async def test_a_changed_file_is_taken_without_a_signal_and_limits_and_log_change_with_it(
    start_server: StartServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    config = {"provider": {"default": "echo"}, "providers": {"echo": ECHO}, "server": {"reload": True}}
    server = await start_server(config)
    changed = {"reload": True, "host": "127.0.0.2", "drain_seconds": 1}
    write(tmp_path, {**config, "limits": {"max_prompt_chars": 3}, "server": changed})
    records = await logged(server, 2)
    assert records[1]["message"] == "these changes wait for a restart: server.drain_seconds, server.host"
    async with http.get(stream_url(server.url, "four")) as response:
        assert response.status == 422


async def test_keys_change_with_their_file_and_never_vanish(
    start_server: StartServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (first, first_line), (second, second_line) = new_key("anna"), new_key("anna")
    keys = tmp_path / "keys"
    keys.write_text(first_line)
    server = await start_server({"auth": {"keys_file": str(keys)}, "server": {"reload": True}})

    async def status(key: str) -> int:
        async with http.get(f"{server.url}/api/providers", headers={"X-API-Key": key}) as response:
            return response.status

    assert (await status(first), await status(second)) == (200, 401)
    keys.write_text(second_line + "\n")
    await logged(server)
    assert (await status(first), await status(second)) == (401, 200)
    keys.write_text("# all gone\n")
    assert "no API keys any more" in (await logged(server, 2))[-1]["message"]
    assert (await status(first), await status(second)) == (401, 200)
