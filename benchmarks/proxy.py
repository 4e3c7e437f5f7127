"""Other proxies of chat completions, each started by a command line: ``python -m benchmarks --proxy NAME=COMMAND``.

The command finds in its environment where to listen (``PORT``, on 127.0.0.1), what to pass on to (``UPSTREAM``, as
``http://127.0.0.1:8000``) and a folder of its own (``FOLDER``). The folder ``benchmarks/proxies`` has some.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.processes import BENCH_START_SECONDS, Process
from benchmarks.spec import BenchAnswer
from benchmarks.wires import BENCH_WIRES


@contextmanager
def running_proxy(command: str, folder: Path, upstream: Process) -> Iterator[Process]:
    """Run a proxy of ``upstream`` until the block ends. Raises :class:`RuntimeError` if it does not serve."""
    port = _free_port()
    own = Path(tempfile.mkdtemp(prefix="proxy-", dir=folder))
    environ = {"PORT": str(port), "UPSTREAM": f"http://127.0.0.1:{upstream.port}", "FOLDER": str(own)}
    with (own / "output.log").open("wb") as log:
        process = subprocess.Popen(
            shlex.split(command), stdout=log, stderr=log, env={**os.environ, **environ}, text=True, process_group=0
        )
    try:
        proxy = Process(process)
        proxy.port = port
        _wait(proxy, own / "output.log")
        yield proxy
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait(proxy: Process, log: Path) -> None:
    """Wait until an answer comes through."""
    wire = BENCH_WIRES["chat"]
    body = f"{{{wire.body(BenchAnswer(1).model, 'Are you there?')}}}".encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{proxy.port}{wire.target}", body, {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + BENCH_START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                if wire.mark in response.read():
                    return
        except OSError:
            pass
        if proxy.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{proxy.process.args!r} does not serve:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
