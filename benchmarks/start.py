"""What a start costs: ``python -m benchmarks.start``.

Prints the CPU time from each command to the end of its first answer, as a multiple of what it takes to import the
packages that the server needs. The commands run in turn, and the medians are taken. The sources are compiled before.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.interpreter import describe_interpreter
from benchmarks.processes import BENCH_START_SECONDS, ROOT, SERVER_PORT, clean_environ, running_program

IMPORTS = "import aiohttp.web, uvloop, msgspec, loguru, aiohttp_sse"
PROVIDER_KEYS = {"OPENAI_API_KEY": "sk-none", "ANTHROPIC_API_KEY": "sk-none"}
SERVER = (sys.executable, "-m", "streamserver")
QUESTION = "/api/chat/stream?provider=echo&prompt=hello"


def _end(folder: Path, command: Sequence[str], environ: Mapping[str, str]) -> float:
    """Run a command that ends by itself. Return its CPU time."""
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL)
    impatience = threading.Timer(BENCH_START_SECONDS, process.kill)
    impatience.start()
    _, status, usage = os.wait4(process.pid, 0)
    impatience.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with the status {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def _serve(folder: Path, command: Sequence[str], environ: Mapping[str, str]) -> float:
    """Run a server until it has answered. Return its CPU time until then."""
    with running_program(command, SERVER_PORT, folder / "server.log", environ) as process:
        url = f"http://127.0.0.1:{process.port}{QUESTION}"
        with urllib.request.urlopen(url, timeout=BENCH_START_SECONDS) as response:
            if b"event: done" not in response.read():
                raise RuntimeError(f"{command} does not answer")
        return process.cpu_seconds()


Start = tuple[Callable[[Path, Sequence[str], Mapping[str, str]], float], Sequence[str], Mapping[str, str]]

STARTS: Mapping[str, Start] = {
    "the imports": (_end, (sys.executable, "-c", IMPORTS), {}),
    "--provider echo": (_serve, (*SERVER, "--provider", "echo", "--port", "0"), {}),
    "the default configuration with both keys": (_serve, (*SERVER, "--port", "0"), PROVIDER_KEYS),
    "check": (_end, (*SERVER, "check"), PROVIDER_KEYS),
    "--help": (_end, (*SERVER, "--help"), {}),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is run; default: 7")
    arguments = parser.parse_args(argv)
    environ = clean_environ(ROOT)
    seconds: dict[str, list[float]] = {name: [] for name in STARTS}
    with tempfile.TemporaryDirectory(prefix="start-") as text:
        # Where byte code may not be written beside the sources, it is compiled into a folder of this run.
        environ = {**environ, "PYTHONPYCACHEPREFIX": f"{text}/compiled"}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(arguments.rounds + 1):
            for name, (run, command, more) in STARTS.items():
                taken = run(Path(text), command, {**environ, **more})
                if number:  # the first round compiles
                    seconds[name].append(taken)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.3f} s of CPU, {median / medians['the imports']:.2f} times the imports")
    print(describe_interpreter())
    return 0


if __name__ == "__main__":
    sys.exit(main())
