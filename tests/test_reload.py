"""Another configuration without a restart: what runs goes on, what starts is new, what is broken changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import tomli_w
from loguru import logger

from providers.clock import LoopClock
from providers.registry import Registry, load_registry
from providers.transport import AiohttpTransport
from streamserver import create_app, load, reload, settings
from streamserver.admission import MemoryLimiter, Quota
from streamserver.app import catalog_for, keys_for, stream_limits
from streamserver.cli import main
from streamserver.config import ConfigError, Loaded, Settings
from streamserver.core.resources import Resources
from streamserver.http.keys import new_key
from streamserver.http.services import SERVICES, Services
from streamserver.reload import ReloadedParts, Reloader
from streamserver.store import MemoryStore
from tests.conftest import StartServer, StartUpstream
from tests.support.application import running_app
from tests.support.client import RawStream, get_events, stream_url
from tests.support.clock import FakeClock
from tests.support.server import DRAIN_SECONDS, ServerProcess
from tests.support.sse import parse, text_of
from tests.support.upstream import Exchange, answer, chunk

ECHO = {"kind": "echo", "delay_ms": 0}


async def logged(server: ServerProcess, count: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while len(found := server.records("reload")) < count:
            await asyncio.sleep(0.01)
    return found


def write(folder: Path, config: dict[str, Any] | str) -> None:
    # Without these it would say what waits for a restart.
    same = {"log": {"format": "json"}, "server": {"drain_seconds": DRAIN_SECONDS}}
    text = config if isinstance(config, str) else tomli_w.dumps({**same, **config})
    (folder / "server1" / "config.toml").write_text(text, "utf-8")


async def test_reload_switches_the_provider_and_cuts_no_stream(
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
    await old.all_closed()  # an unused connection is closed, though it was kept alive
    write(tmp_path, {"provider": {"default": "echo"}, "providers": {"echo": ECHO}})
    server.send(signal.SIGHUP)
    await logged(server, 2)
    assert text_of(await get_events(http, stream_url(server.url))) == "hello big world"


async def test_reload_changes_nothing_when_the_file_is_wrong(
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


async def test_changed_file_is_put_in_force_without_a_signal(
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


async def test_another_key_file_is_read_once_and_watched_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, first, second = (tmp_path / name for name in ("config.toml", "first", "second"))
    for path in (first, second):
        path.write_text(new_key("anna")[1])
    echo = "[provider]\ndefault = 'echo'\n[providers.echo]\nkind = 'echo'\n"
    config.write_text(f"{echo}[auth]\nkeys_file = '{first}'\n[server]\nreload = true\n")
    registry = load_registry([])
    loads = looks = 0

    def load_again() -> Loaded:
        nonlocal loads
        loads += 1
        return load(str(config), registry=registry, environ={})

    stamp = reload._stamp

    def look(path: Path) -> reload._Stamp | None:
        nonlocal looks
        looks += 1
        return stamp(path)

    def build(settings: Settings) -> ReloadedParts:
        catalog = catalog_for(settings, registry, AiohttpTransport(), LoopClock(), {})
        return ReloadedParts(catalog, keys_for(settings, {}), stream_limits(settings))

    async def until_looked() -> None:
        """Wait long enough to see a change, and that it has settled."""
        enough = looks + 12
        async with asyncio.timeout(60):
            while looks < enough:
                await asyncio.sleep(0.001)

    monkeypatch.setattr(reload, "RELOAD_POLL_SECONDS", 0.001)
    monkeypatch.setattr(reload, "_stamp", look)
    monkeypatch.setattr(reload, "set_up_logs", lambda _: None)
    loaded = load_again()
    app = create_app(loaded.settings, registry=registry, environ={})
    async with Reloader(app[SERVICES], loaded, load=load_again, build=build).active():
        await until_looked()
        assert loads == 1
        config.write_text(config.read_text().replace(str(first), str(second)))
        for _ in range(3):
            await until_looked()
        assert loads == 2
        second.write_text(new_key("ben")[1])
        async with asyncio.timeout(60):
            while app[SERVICES].keys.names != {"ben"}:
                await asyncio.sleep(0.001)
        assert loads == 3
    await app[SERVICES].catalog.aclose()


async def test_keys_change_with_their_file_and_stay_when_it_is_emptied(
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


async def reload_with(core: Services, tables: dict[str, Any]) -> None:
    """Put ``tables`` in force in the test's own process."""
    loaded = Loaded(settings(tables), "config.toml", {})

    def build(settings: Settings) -> ReloadedParts:
        catalog = catalog_for(settings, load_registry(), AiohttpTransport(), core.clock, {})
        return ReloadedParts(catalog, keys_for(settings, {}), stream_limits(settings))

    assert await Reloader(core, loaded, load=lambda: loaded, build=build).reload()


@pytest.fixture
def keep_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the log as it is: it is the process', which is not the application's here."""
    monkeypatch.setattr("streamserver.reload.set_up_logs", lambda _: None)


@pytest.mark.usefixtures("keep_logs")
async def test_new_streams_have_the_new_bounds(http: aiohttp.ClientSession) -> None:
    clock = FakeClock()
    quiet = {"provider": {"default": "quiet"}, "providers": {"quiet": {"kind": "echo", "hang_after": 1}}}
    patient = {**quiet, "timeouts": {"first_token": 100, "idle": 100, "total": 100}, "limits": {"max_streams": 1}}
    async with running_app({**quiet, "timeouts": {"total": 10}}, clock=clock, environ={}) as (core, url):
        await reload_with(core, patient)
        running = await (await RawStream.request(int(url.rpartition(":")[2]), stream_url(""))).head()
        await running.events(2)
        async with http.get(stream_url(url)) as response:
            assert (response.status, (await response.json())["code"]) == (503, "overloaded")
        for _ in range(100):
            await clock.passes(1)
        (end,) = (event for event in await running.events() if event.type != "ping")
        running.close()
    assert end.json()["code"] == "timeout"
    assert end.offset == "2", "it is the generation that has ended, and not before it had to"


class SlowToAdmit(MemoryLimiter):
    """Limits that say yes when the test does."""

    def __init__(self) -> None:
        super().__init__(LoopClock())
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def admit(self, user: str, quota: Quota, resources: Resources) -> None:
        self.asked.set()
        await self.answer.wait()
        await super().admit(user, quota, resources)


@pytest.mark.usefixtures("keep_logs")
@pytest.mark.parametrize("kept", [True, False])
async def test_request_gets_the_new_provider_or_a_503_when_providers_change_while_it_waits(
    http: aiohttp.ClientSession, kept: bool
) -> None:
    limiter = SlowToAdmit()
    both = {"provider": {"default": "echo"}, "providers": {"echo": ECHO, "other": ECHO}}
    new = {"echo": ECHO, "other": {**ECHO, "tokens": 1}} if kept else {"echo": ECHO}
    async with running_app(both, limiter=limiter, environ={}) as (core, url):

        async def ask() -> tuple[int, str]:
            body = {"prompt": "hello world", "provider": "other"}
            async with http.post(f"{url}/api/chat/stream", json=body) as response:
                return response.status, await response.text()

        asking = asyncio.get_running_loop().create_task(ask())
        await limiter.asked.wait()
        await reload_with(core, {**both, "providers": new})
        limiter.answer.set()
        status, answer = await asking
        if kept:
            assert (status, text_of(parse(answer.encode()))) == (200, "hello")
        else:
            assert (status, json.loads(answer)["code"]) == (503, "overloaded")


async def test_reload_changes_nothing_when_the_file_is_empty_or_gone(start_server: StartServer, tmp_path: Path) -> None:
    """An editor may have only begun to write it; and the built-in defaults have no limits of this file."""
    server = await start_server({"server": {"reload": True}})
    write(tmp_path, "")
    (found,) = await logged(server)
    assert "nothing changed" in found["message"] and "is empty" in found["message"]
    (tmp_path / "server1" / "config.toml").unlink()
    _, found = await logged(server, 2)
    assert "nothing changed" in found["message"] and "no such file" in found["message"]


def test_reload_reads_the_file_of_the_start_and_never_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found in the current folder, and deleted: the defaults are no reload of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STREAMSERVER_CONFIG", raising=False)
    path = tmp_path / "config.toml"
    path.write_text('[provider]\ndefault = "echo"\n[providers.echo]\nkind = "echo"\n', "utf-8")
    again: list[Callable[[], Loaded]] = []

    def run_server(loaded: Loaded, registry: Registry, load_again: Callable[[], Loaded]) -> int:
        again.append(load_again)
        return 0

    monkeypatch.setattr("streamserver.commands.serve.run_server", run_server)
    assert main([]) == 0
    assert again[0]().settings.provider.default == "echo"
    path.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        again[0]()


@pytest.mark.usefixtures("keep_logs")
@pytest.mark.parametrize("store", ["memory", "redis://127.0.0.1:1/0"])
async def test_reload_names_the_settings_that_a_shared_store_copied(store: str) -> None:
    tables = {"provider": {"default": "echo"}, "providers": {"echo": ECHO}, "resume": {"store": store}}
    changed = {**tables, "timeouts": {"total": 60}, "resume": {"store": store, "retention_seconds": 7}}
    said: list[str] = []
    limiter = MemoryLimiter(FakeClock())
    async with running_app(tables, store=MemoryStore(), limiter=limiter, environ={}) as (core, _):
        sink = logger.add(lambda message: said.append(message.record["message"]), level="WARNING")
        try:
            await reload_with(core, changed)
        finally:
            logger.remove(sink)
        assert core.supervisor.limits.total == 60
    shared = [
        "these changes are in force for streams of this process, and for what the shared store keeps and for "
        "other nodes' streams only after a restart: resume.retention_seconds, timeouts.total"
    ]
    assert said == ([] if store == "memory" else shared)


async def test_link_that_is_set_to_another_file_is_noticed_when_size_and_time_are_equal(
    start_server: StartServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Kubernetes replaces a config map by such a link, and may give all files one time."""
    server = await start_server({"server": {"reload": True}, "limits": {"max_prompt_chars": 5}})
    path = tmp_path / "server1" / "config.toml"
    text = path.read_text()
    for name, content in (("one", text), ("two", text.replace("max_prompt_chars = 5", "max_prompt_chars = 3"))):
        (tmp_path / name).write_text(content)
        os.utime(tmp_path / name, (1, 1))
    for number, name in enumerate(("one", "two"), start=1):
        link = tmp_path / "link"
        link.symlink_to(tmp_path / name)
        link.replace(path)
        await logged(server, number)
    async with http.get(stream_url(server.url, "four")) as response:
        assert response.status == 422


async def test_file_that_is_being_written_is_not_put_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was cut off between two tables is valid TOML: only its being still tells that it is whole."""
    config = tmp_path / "config.toml"
    config.write_text("[provider]\ndefault = 'echo'\n[providers.echo]\nkind = 'echo'\n[server]\nreload = true\n")
    registry = load_registry([])
    read: list[str] = []

    def load_again() -> Loaded:
        read.append(config.read_text())
        return load(str(config), registry=registry, environ={})

    def build(settings: Settings) -> ReloadedParts:
        catalog = catalog_for(settings, registry, AiohttpTransport(), LoopClock(), {})
        return ReloadedParts(catalog, keys_for(settings, {}), stream_limits(settings))

    looks = 0
    whole = config.read_text() + "[limits]\nmax_tokens = 7\n"
    stamp = reload._stamp

    def look(path: Path) -> reload._Stamp | None:
        """Let the file grow at every second look, until it is whole."""
        nonlocal looks
        looks += 1
        if looks % 2 == 0 and len(config.read_text()) < len(whole):
            config.write_text(whole[: len(config.read_text()) + 1])
        return stamp(path)

    monkeypatch.setattr(reload, "RELOAD_POLL_SECONDS", 0.001)
    monkeypatch.setattr(reload, "set_up_logs", lambda _: None)
    loaded = load_again()
    app = create_app(loaded.settings, registry=registry, environ={})
    reloader = Reloader(app[SERVICES], loaded, load=load_again, build=build)
    monkeypatch.setattr(reload, "_stamp", look)
    async with reloader.active():
        async with asyncio.timeout(60):
            while app[SERVICES].settings.limits.max_tokens != 7:
                await asyncio.sleep(0.001)
    assert set(read[1:]) == {whole}
    await app[SERVICES].catalog.aclose()
