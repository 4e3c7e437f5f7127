"""What each documented proxy does to a stream, in figures. It takes 70 s, since it waits for idle timeouts.

``python -m tests.security.proxy_trial nginx caddy haproxy apache2``
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import openai_at
from tests.security.test_proxies import PROXIES, ask, block, documented_settings
from tests.support.ports import free_port
from tests.support.programs import found, running_program
from tests.support.server import running_server
from tests.support.upstream import DONE, Exchange, Upstream, chunk, running_upstream

SILENT_SECONDS = 70.0
"""Longer than the idle timeout of each documented configuration."""
READ_SECONDS = 90.0
TOKENS = 40
CUTS = 5
APACHE_MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http", "headers")


def apache(folder: Path, port: int, backend: int) -> list[str]:
    site = (
        block("apacheconf").replace("127.0.0.1:8080", f"127.0.0.1:{backend}").replace("/var/log/apache2", str(folder))
    )
    site = re.sub(r"^\s*SSL.*\n", "", site, flags=re.MULTILINE).replace("*:443", f"127.0.0.1:{port}")
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in APACHE_MODULES)
    (folder / "apache.conf").write_text(
        f"ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\nErrorLog {folder}/main.log\n"
        f"User www-data\nGroup www-data\nListen 127.0.0.1:{port}\n{modules}{site}"
    )
    return ["-DFOREGROUND", "-f", str(folder / "apache.conf")]


TRIED: dict[str, Callable[[Path, int, int], list[str]]] = {**PROXIES, "apache2": apache}


class TimedScript:
    """The provider: it streams tokens, and notes when it sent each. To the prompt ``silence`` it pauses after one."""

    def __init__(self) -> None:
        self.sent: list[float] = []

    async def run(self, exchange: Exchange) -> None:
        silence = exchange.json()["messages"][-1]["content"] == "silence"
        await exchange.start_stream()
        self.sent.clear()
        for number in range(2 if silence else TOKENS):
            if number:
                await asyncio.sleep(SILENT_SECONDS if silence else 0.02)
            self.sent.append(time.monotonic())
            await exchange.send(chunk("token "))
        await exchange.send(chunk(finish="stop") + DONE)


async def try_proxy(name: str, folder: Path) -> None:
    program, script, port = found(name), TimedScript(), free_port()
    assert program is not None, f"{name} is not installed"
    folder.chmod(0o755)
    async with running_upstream(script.run) as upstream:
        config = {**openai_at(upstream), "server": {**documented_settings()["server"], "keepalive_seconds": 15}}
        async with (
            running_server(folder / "server", config) as server,
            running_program(program, TRIED[name](folder, port, server.port), folder, port),
        ):
            print(f"{name}: {await try_tokens(port, script)}", flush=True)
            print(f"{name}: {await try_cuts(port, upstream, 'tokens')}", flush=True)
            print(f"{name}: {await try_cuts(port, upstream, 'silence')}", flush=True)
            print(f"{name}: {await try_silence(port)}", flush=True)


async def try_tokens(port: int, script: TimedScript) -> str:
    """Read tokens, and the last two again after the id of the one before."""
    stream = await ask(port, "/api/chat/stream?prompt=tokens")
    stream_id, late = stream.headers["x-stream-id"], list[float]()
    while len(late) < TOKENS:
        for event in await stream.events(1):
            if event.type == "message":
                late.append(time.monotonic() - script.sent[len(late)])
    resumed = await ask(port, f"/api/chat/streams/{stream_id}", **{"Last-Event-ID": f"{stream_id}:{TOKENS - 2}"})
    assert [event.type for event in await resumed.events()] == ["message", "message", "done"]
    late.sort()
    return f"tokens arrive after {late[TOKENS // 2] * 1000:.1f} ms (median), at most {late[-1] * 1000:.1f} ms; resumed"


async def try_cuts(port: int, upstream: Upstream, prompt: str) -> str:
    """Leave after the first token."""
    waits = []
    for _ in range(CUTS):
        stream = await ask(port, f"/api/chat/stream?prompt={prompt}")
        await stream.events(2)
        began = time.monotonic()
        stream.close()
        await upstream.exchanges[-1].until_closed(seconds=60)
        waits.append((time.monotonic() - began) * 1000)
    return f"{prompt}: the provider's connection closes {max(waits):.0f} ms after a reader has left, at most"


async def try_silence(port: int) -> str:
    stream = await ask(port, "/api/chat/stream?prompt=silence")
    types = list[str]()
    async with asyncio.timeout(READ_SECONDS):
        while "done" not in types:
            types += [event.type for event in await stream.events(1)]
    assert types.count("message") == 2
    return f"{SILENT_SECONDS:.0f} s of silence pass, with {types.count('ping')} pings"


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("proxies", nargs="+", choices=TRIED)
    with tempfile.TemporaryDirectory() as folder:
        async with asyncio.TaskGroup() as group:
            for name in parser.parse_args().proxies:
                (Path(folder) / name).mkdir()
                group.create_task(try_proxy(name, Path(folder) / name))


if __name__ == "__main__":
    asyncio.run(main())
