"""The server under test: started here, or found; and what its processes take."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import tomli_w

from streamserver.loadtest.plan import Plan
from streamserver.loadtest.preflight import port_of
from streamserver.loadtest.result import ProcessUsage

SERVER_START_SECONDS = 60.0
SERVER_STOP_SECONDS = 10.0
MANY = 1_000_000_000
SERVER_MAX_STREAMS = 20_000
ECHO_DELAY_MS = 20


class ServerDied(Exception):
    """The server that was started for the test did not come up; the message has its output."""


@asynccontextmanager
async def echo_server(plan: Plan) -> AsyncIterator[tuple[str, int]]:
    """Run a server with the echo provider and open limits, in a process of its own: its URL and process id."""
    with tempfile.TemporaryDirectory(prefix="streamserver-load-") as folder:
        config = Path(folder) / "config.toml"
        config.write_text(tomli_w.dumps(_config(plan)), "utf-8")
        log = Path(folder) / "server.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *_path_flags(), "-m", "streamserver", "--config", str(config), "--port", "0"),
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={name: value for name, value in os.environ.items() if not name.startswith("STREAMSERVER_")},
                start_new_session=True,  # a Ctrl-C is for the test, which stops the server
            )
        try:
            yield await _announced(process, log), process.pid
        finally:
            await _stop(process)


def _path_flags() -> list[str]:
    """Return the flag that keeps the modules of the working directory out, unless this package is one of them."""
    return [] if Path(__file__).is_relative_to(Path.cwd()) else ["-P"]


def _config(plan: Plan) -> dict[str, object]:
    return {
        "provider": {"default": "echo"},
        "providers": {"echo": {"kind": "echo", "delay_ms": ECHO_DELAY_MS}},
        "limits": {
            "max_prompt_chars": max(5000, len(plan.prompt())),
            "max_conversation_chars": max(200_000, len(plan.prompt())),
            "max_tokens": max(4096, plan.prompt_tokens),
            "max_streams": SERVER_MAX_STREAMS,
            "max_streams_per_user": SERVER_MAX_STREAMS,
            "requests_per_minute": MANY,
        },
    }


async def _announced(process: asyncio.subprocess.Process, log: Path) -> str:
    assert process.stdout is not None
    output = ""
    with suppress(TimeoutError):
        async with asyncio.timeout(SERVER_START_SECONDS):
            while line := await process.stdout.readline():
                output += line.decode()
                if found := re.search(r"try .*'(http://[^/]+)/", output):
                    return found[1]
    raise ServerDied(f"{output}{await asyncio.to_thread(log.read_text, 'utf-8')}".strip() or "it printed nothing")


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), SERVER_STOP_SECONDS)
        except TimeoutError:
            process.kill()
    await process.wait()


class Watch:
    """The CPU time and memory of processes, as far as this machine's /proc tells."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._cpu_start = self.cpu_seconds()
        self._memory_start = self._memory_peak = self.memory_bytes()

    def cpu_seconds(self) -> float | None:
        """Return the time of all threads of all the processes."""
        values = [value for value in map(_cpu_seconds, self._pids) if value is not None]
        return sum(values) if values else None

    def memory_bytes(self) -> int | None:
        """Return the resident memory."""
        values = [value for value in map(_resident_bytes, self._pids) if value is not None]
        return sum(values) if values else None

    def look(self) -> tuple[float | None, int | None]:
        """Return CPU seconds and memory now; the peak is remembered."""
        memory = self.memory_bytes()
        if memory is not None:
            self._memory_peak = max(self._memory_peak or 0, memory)
        return self.cpu_seconds(), memory

    def usage(self) -> ProcessUsage | None:
        """Return the usage since the watch began; None if nothing can be seen."""
        cpu, _ = self.look()
        if cpu is None or self._cpu_start is None or self._memory_start is None:
            return None
        return ProcessUsage(
            processes=len(self._pids),
            cpu_seconds=cpu - self._cpu_start,
            memory_start_bytes=self._memory_start,
            memory_peak_bytes=self._memory_peak or 0,
        )


def _cpu_seconds(pid: int) -> float | None:
    try:
        # How Linux names the CPU clock of another process: clock_getcpuclockid(3).
        return time.clock_gettime((~pid << 3) | 2)
    except (OSError, OverflowError):
        return None


def _resident_bytes(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return None
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def processes_behind(url: str) -> list[int]:
    """Return the processes of this machine that listen on the port of ``url``; none if it is another machine, or
    hidden."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        return []
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening(table, port_of(parts))}
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _holds(folder / "fd", inodes)]


def _listening(table: str, port: int) -> list[str]:
    """Return the inodes of the sockets that listen on ``port``: proc(5), /proc/net/tcp."""
    try:
        lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]


def _holds(folder: Path, inodes: set[str]) -> bool:
    try:
        return any(str(link.readlink()) in inodes for link in folder.iterdir())
    except OSError:
        return False
