"""The process that keeps others, with workers that are a few lines."""

from __future__ import annotations

import ast
import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import tomli_w

from streamserver import workers
from streamserver.redis.limiter import LIMITS_FLUSH_SECONDS
from streamserver.redis.store import LOG_FLUSH_SECONDS
from streamserver.runner import FINAL_FLUSH_SECONDS, SHUTDOWN_SECONDS
from streamserver.telemetry.traces import LAST_SECONDS
from tests.support.ports import free_port
from tests.support.server import clean_environ

STUBBORN = """
import asyncio, signal, sys, time
from streamserver import workers

workers.LATE_SECONDS = 0.5

def work(serves):
    async def main():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        serves()
        time.sleep(45)
    asyncio.run(main())
    return 0

sys.exit(workers.Workers(2, work, drain_seconds=0.1).run(lambda: print("they serve", flush=True)))
"""


async def test_worker_is_killed_when_it_outlasts_its_deadline() -> None:
    keeper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STUBBORN), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert keeper.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert await keeper.stdout.readline() == b"they serve\n"
            keeper.send_signal(signal.SIGTERM)
            assert await keeper.wait() == signal.SIGKILL, "and its end is no success"
    finally:
        if keeper.returncode is None:
            keeper.kill()
        await keeper.wait()
        keeper._transport.close()  # type: ignore[attr-defined]


KEEPER = """
import asyncio, os, signal, sys
from pathlib import Path
from streamserver.workers import Workers

def work(ready):
    return asyncio.run(play(ready))

async def play(ready):
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    role = sys.argv[1 + take_number()]
    if role == "fails":
        raise RuntimeError
    if role == "late":
        async with asyncio.timeout(40):
            while not Path("replaced").exists():
                await asyncio.sleep(0.01)
    ready()
    if role == "dies":
        return 3
    if role == "replaces":
        Path("replaced").touch()
    await ended.wait()
    return 0

def take_number():
    for number in range(100):
        try:
            os.close(os.open(str(number), os.O_CREAT | os.O_EXCL))
            return number
        except FileExistsError:
            pass

sys.exit(Workers(2, work, drain_seconds=5).run(lambda: print("all serve", flush=True)))
"""


def keeper(folder: Path, *roles: str) -> subprocess.Popen[str]:
    """Start two workers, and those that replace them: each of the next of the ``roles``."""
    return subprocess.Popen(
        [sys.executable, "-c", KEEPER, *roles],
        cwd=folder, env=clean_environ(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_server_ends_with_a_record_when_a_worker_cannot_start(tmp_path: Path) -> None:
    with keeper(tmp_path, "serves", "fails") as process:
        said, log = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "")
    assert log.count("a worker died before it served: the server cannot start, and ends") == 1
    assert "another one is started" not in log


def test_worker_that_dies_is_replaced_while_another_starts(tmp_path: Path) -> None:
    with keeper(tmp_path, "dies", "late", "replaces") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "all serve\n"
        process.send_signal(signal.SIGTERM)
        said, log = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert log.count("a worker died; another one is started") == 1
    assert "cannot start" not in log


DEADLINE = """
from streamserver import workers
from streamserver.cli import main

def run(self, announce):
    print(self._drain_seconds)
    return 0

workers.Workers.run = run
main([])
"""


def test_worker_may_take_as_long_as_its_end_waits_for_readers_and_for_the_store(tmp_path: Path) -> None:
    flushes = LOG_FLUSH_SECONDS + LIMITS_FLUSH_SECONDS + LAST_SECONDS + 2 * FINAL_FLUSH_SECONDS
    assert 2 * SHUTDOWN_SECONDS + flushes < workers.LATE_SECONDS
    tables = {
        "server": {"workers": 2, "drain_seconds": 7, "port": free_port()},
        "provider": {"default": "echo"},
        "providers": {"echo": {"kind": "echo"}},
        "resume": {"store": f"redis://127.0.0.1:{free_port()}/0", "ending_wait_seconds": 60},
    }
    (tmp_path / "config.toml").write_text(tomli_w.dumps(tables))
    said = subprocess.check_output([sys.executable, "-c", DEADLINE], cwd=tmp_path, env=clean_environ(), timeout=60)
    assert float(said) == 67


def test_workers_run_without_what_a_posix_system_may_lack() -> None:
    """macOS has no ``sigtimedwait``; and the parent of an orphan is another process, perhaps process 1."""
    tree = ast.parse(Path(workers.__file__).read_text("utf-8"))
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"sigtimedwait", "sigwaitinfo", "signalfd", "getppid", "prctl", "epoll"}
