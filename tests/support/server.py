"""A real server process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import tomli_w

START_SECONDS = 60.0
EXIT_SECONDS = 60.0
DRAIN_SECONDS = 0.2
"""Short, so that a finished test does not wait for its streams."""
NEVER_SECONDS = 600
"""Longer than any test waits: a shorter deadline would end what the server has to notice by itself."""
ECHO = {"kind": "echo", "delay_ms": 0}


class ServerProcess:
    """``streamserver`` as a process on a free port, with JSON logs."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.url = ""
        self.port = 0
        self.announced = ""
        self._log = log

    @property
    def log(self) -> str:
        """Everything that the server has written to standard error."""
        return self._log.read_text("utf-8")

    def records(self, event: str = "stream") -> list[dict[str, Any]]:
        """Return the log's records of ``event``."""
        whole, _, _ = self.log.rpartition("\n")  # the last line can be incomplete
        lines = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
        return [record for record in lines if record.get("event") == event]

    async def logged(self, event: str = "stream", count: int = 1) -> list[dict[str, Any]]:
        """Wait for ``count`` records of ``event``, which a thread writes. Return all that there are."""
        async with asyncio.timeout(60):
            while len(found := self.records(event)) < count:
                await asyncio.sleep(0.01)
        return found

    async def record(self, stream_id: str | None = None, *, seconds: float = 60) -> dict[str, Any]:
        """Wait for the record of a stream, and return it. Without an id: of the only stream."""
        async with asyncio.timeout(seconds):
            while True:
                found = [r for r in self.records() if stream_id is None or r["stream_id"] == stream_id[:6]]
                if found:
                    return found[-1]
                await asyncio.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        """Send a signal without ``Popen.send_signal``, which polls the process: if it finds that the process has ended,
        asyncio's child watcher never learns the exit status."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def terminate(self) -> None:
        self.send(signal.SIGTERM)

    async def wait(self, seconds: float = 60) -> int:
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def stop(self) -> int | None:
        """Stop the server with SIGTERM. Return its exit status, or None if it had to be killed."""
        self.terminate()
        try:
            return await self.wait(EXIT_SECONDS)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return None


@asynccontextmanager
async def running_server(
    folder: Path,
    config: Mapping[str, Any] | None = None,
    *,
    arguments: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
    crashes: bool = False,
) -> AsyncIterator[ServerProcess]:
    """Run a server with ``config`` (the tables of a config.toml). At the end it must exit with 0, unless the test has
    killed it, and must have logged no crash, unless ``crashes``.

    By default echo is the provider, limits per user and deadlines are wide, the drain is short, and logs are JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Any] = {
        "provider": {"default": "echo"},
        "providers": {"echo": dict(ECHO)},
        "log": {"format": "json"},
        "server": {"drain_seconds": DRAIN_SECONDS, "keepalive_seconds": NEVER_SECONDS},
        "timeouts": {"first_token": NEVER_SECONDS, "idle": NEVER_SECONDS, "total": NEVER_SECONDS},
    }
    tables["limits"] = {"max_streams_per_user": 100_000, "requests_per_minute": 1_000_000}
    for name, table in (config or {}).items():
        tables[name] = {**tables.get(name, {}), **table}
    path = folder / "config.toml"
    path.write_text(tomli_w.dumps(tables), "utf-8")
    log = folder / "server.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", "streamserver", "--config", str(path), "--port", "0", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env={**clean_environ(), **(environ or {})},
        )
    server = ServerProcess(process, log)
    try:
        await _announcement(server)
        yield server
        status = await server.stop()
        assert status in (0, -signal.SIGKILL), f"the server exited with {status}:\n{server.log}"
        assert crashes or not server.records("crash"), f"the server logged a crash:\n{server.log}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        # Otherwise the garbage collector closes the pipe's transport, with a ResourceWarning.
        process._transport.close()  # type: ignore[attr-defined]


def clean_environ() -> dict[str, str]:
    """Return the environment without the keys and settings of the developer."""
    hidden = ("OPENAI_", "ANTHROPIC_", "STREAMSERVER_")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


async def _announcement(server: ServerProcess) -> None:
    assert server.process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            while not (found := re.search(r"try .*'(http://\S+?(?::(\d+))?)/", server.announced)):
                line = await server.process.stdout.readline()
                if not line:
                    raise AssertionError(f"the server did not start:\n{server.announced}{server.log}")
                server.announced += line.decode()
    except TimeoutError:
        raise AssertionError(f"the server did not announce its address:\n{server.announced}{server.log}") from None
    server.url, server.port = found[1], int(found[2] or 0)
