"""The processes of a benchmark, and their statistics from the kernel."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import tomli_w

from benchmarks.client import BenchLoad, BenchResult
from benchmarks.follower import FollowerLoad, FollowerResult

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
BENCH_START_SECONDS = 60.0
SERVER_PORT = r"http://127\.0\.0\.1:(\d+)"
"""The pattern that finds the port in what ``streamserver`` prints."""
COUNTING_SECONDS = 0.2
"""For a signal to arrive, and for what follows an answer: its record."""
BENCH_MAX_STREAMS = 20_000
"""And as many readers of one user."""


class Counts(NamedTuple):
    """Byte code instructions, and calls, generators that go on among them."""

    instructions: int
    calls: int


class Process:
    """A server process on ``port``."""

    def __init__(self, process: subprocess.Popen[str], report: Path | None = None) -> None:
        self.process = process
        self.port = 0
        self._report = report

    def counts(self, work: Callable[[], object]) -> Counts:
        """Return what the process executes during ``work``. It must have been started with ``counted``."""
        assert self._report is not None, "it is not counted"
        self._report.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(COUNTING_SECONDS)
        work()
        time.sleep(COUNTING_SECONDS)
        self.process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + BENCH_START_SECONDS
        while not self._report.exists():
            if time.monotonic() > deadline:
                raise RuntimeError("the server does not tell what it counted")
            time.sleep(0.05)
        functions = json.loads(self._report.read_text("utf-8"))
        return Counts(sum(count for _, count, _ in functions), sum(calls for *_, calls in functions))

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads, and those of its workers, to the nanosecond: the CPU clocks.

        See clock_getcpuclockid(3); the number is how Linux names the clock of another process.
        """
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self._pids())

    def memory_bytes(self) -> int:
        """Return its resident memory and that of its workers, pages shared with other processes counted by share
        (``Pss``)."""
        return sum(_memory_kilobytes(pid) for pid in self._pids()) * 1024

    def _pids(self) -> list[int]:
        """Return the ids of this process and of its workers: proc(5), ``children``."""
        return list(_family(self.process.pid))

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


def _family(pid: int) -> Iterator[int]:
    """Yield the id of a process and those of its descendants."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            yield from _family(int(child))


def _memory_kilobytes(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    assert found is not None
    return int(found[1])


def clean_environ(tree: Path) -> dict[str, str]:
    """Return the environment for a server of the sources in ``tree``, without a provider's keys and settings."""
    hidden = ("OPENAI_", "ANTHROPIC_", "STREAMSERVER_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return {**environ, "PYTHONPATH": str(tree)}


@contextmanager
def running_program(
    command: Sequence[str], port: str, errors: Path, environ: Mapping[str, str], report: Path | None = None
) -> Iterator[Process]:
    """Run a server in the folder of ``errors``; ``port`` is the pattern that finds its port in what it prints."""
    with errors.open("ab") as stderr:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=errors.parent, env=environ
        )
    assert process.stdout is not None
    impatience = threading.Timer(BENCH_START_SECONDS, process.kill)
    impatience.start()
    try:
        started = Process(process, report)
        said = ""
        while not (found := re.search(port, said)):
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{command} did not start:\n{said}{errors.read_text()[-2000:]}")
            said += line
        impatience.cancel()
        started.port = int(found[1])
        yield started
    finally:
        impatience.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def running_upstream(folder: Path) -> Iterator[Process]:
    with _running_module(["benchmarks.upstream"], folder / "upstream.log") as process:
        yield process


@contextmanager
def running_naive(folder: Path, upstream: Process) -> Iterator[Process]:
    arguments = ["benchmarks.naive", f"http://127.0.0.1:{upstream.port}/v1"]
    with _running_module(arguments, folder / "naive.log") as process:
        yield process


def _running_module(arguments: Sequence[str], errors: Path) -> AbstractContextManager[Process]:
    """Run ``python -m …`` of these sources, which prints nothing but its port."""
    return running_program([sys.executable, "-m", *arguments], r"^(\d+)\n", errors, clean_environ(ROOT))


@contextmanager
def running_server(
    folder: Path,
    upstream: Process,
    models: list[str],
    *,
    tree: Path = ROOT,
    config: Mapping[str, Any] | None = None,
    counted: bool = False,
) -> Iterator[Process]:
    """Run ``streamserver`` from the sources in ``tree`` with its default configuration, the limits and ``config``.

    ``counted``: its byte code can be counted.
    """
    tables: dict[str, Any] = {
        "provider": {"default": "upstream"},
        "providers": {
            "upstream": {
                "kind": "openai",
                "model": "bench",
                "models": models,
                "base_url": f"http://127.0.0.1:{upstream.port}/v1",
            },
            "echo": {"kind": "echo", "delay_ms": 10_000, "tokens": 1000},
        },
        "resume": {"max_log_bytes": 2**26},
        "limits": {
            "max_streams": BENCH_MAX_STREAMS,
            "max_streams_per_user": BENCH_MAX_STREAMS,
            "max_readers_per_stream": BENCH_MAX_STREAMS,
            "requests_per_minute": 1_000_000_000,
            "max_tokens": 1_000_000,
        },
    }
    for name, table in (config or {}).items():
        tables[name] = {**tables.get(name, {}), **table}
    path = folder / f"config-{time.monotonic_ns()}.toml"
    path.write_text(tomli_w.dumps(tables), "utf-8")
    report = path.with_suffix(".counts") if counted else None
    program = ["-m", "streamserver"] if report is None else [str(ROOT / "benchmarks" / "counted.py"), str(report)]
    command = [sys.executable, *program, "--config", str(path), "--port", "0"]
    with running_program(command, SERVER_PORT, folder / "server.log", clean_environ(tree), report) as process:
        yield process


def run_load(load: BenchLoad) -> BenchResult:
    """Run ``load`` to its end, in a process of its own."""
    with _client("client", load) as client:
        return _result(client, BenchResult)


def run_followers(load: FollowerLoad) -> FollowerResult:
    """Run ``load`` to its end, in a process of its own."""
    with _client("follower", load) as client:
        return _result(client, FollowerResult)


@contextmanager
def open_streams(load: BenchLoad) -> Iterator[None]:
    """Keep the streams of ``load`` open while the block runs."""
    with _client("client", load) as client:
        assert client.stdout is not None
        line = client.stdout.readline()
        if line.strip() != "open":
            raise RuntimeError(f"the streams did not open: {line[-2000:]}")
        yield


@contextmanager
def _client(module: str, load: BenchLoad | FollowerLoad) -> Iterator[subprocess.Popen[str]]:
    client = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert client.stdin is not None and client.stdout is not None
    impatience = threading.Timer(load.limit_seconds + 60, client.kill)
    impatience.start()
    try:
        client.stdin.write(msgspec.json.encode(load).decode() + "\n")
        client.stdin.flush()
        yield client
    finally:
        impatience.cancel()
        client.kill()
        client.wait()
        client.stdin.close()
        client.stdout.close()


def _result(client: subprocess.Popen[str], kind: type[T]) -> T:
    assert client.stdout is not None
    line = client.stdout.readline()
    if not line:
        raise RuntimeError("the client of a load died")
    return msgspec.json.decode(line, type=kind)


def busy_seconds() -> float:
    """Return the CPU time that everything on this machine has taken since it started: proc(5), /proc/stat."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Return the CPU time of this process and of the clients that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def upstream_report(upstream: Process) -> dict[str, Any]:
    """Return the number of the upstream's open connections, and when each other one closed."""
    with urllib.request.urlopen(f"http://127.0.0.1:{upstream.port}/closes", timeout=10) as response:
        report: dict[str, Any] = json.load(response)
    return report
