"""A Redis of the benchmark's own, and its statistics."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from streamserver.redis.keys import log_key

PROGRAMS = ("redis-server", "valkey-server")
REDIS_START_SECONDS = 20.0


class BenchRedis:
    """A ``redis-server`` that keeps everything in memory."""

    def __init__(self, port: int) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._client = Redis(port=port)

    def cpu_seconds(self) -> float:
        """Return the CPU time that Redis says it has spent: ``INFO cpu``."""
        info = self._info("cpu")
        return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])

    def memory_bytes(self) -> int:
        return int(self._info("memory")["used_memory"])

    def commands(self) -> int:
        """Return how many commands it has carried out, this one not among them."""
        return int(self._info("stats")["total_commands_processed"])

    def command(self, name: str) -> tuple[int, float]:
        """Return how often a command was carried out, and the seconds that it took."""
        stats = self._info("commandstats").get(f"cmdstat_{name}", {"calls": 0, "usec": 0})
        return int(stats["calls"]), float(stats["usec"]) / 1e6

    def stream_ids(self, most: int) -> list[str]:
        """Return the ids of streams that it keeps, in no order."""
        prefix = log_key("")
        keys = self._client.scan_iter(f"{prefix}*", count=1000)
        return [key.decode().removeprefix(prefix) for key in islice(keys, most)]

    def wait(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + REDIS_START_SECONDS
        while True:
            try:
                self._client.ping()
                return
            except RedisConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _info(self, section: str) -> dict[str, Any]:
        info: dict[str, Any] = self._client.info(section)
        return info


@contextmanager
def running_redis(folder: Path) -> Iterator[BenchRedis]:
    """Run a Redis on a free port, until the block ends. Raises :class:`RuntimeError` if no program is installed."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise RuntimeError(f"needs {' or '.join(PROGRAMS)}: apt-get install redis-server")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    options = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "no")
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen([program, *options], stdout=log, stderr=log)
    try:
        redis = BenchRedis(port)
        redis.wait()
        yield redis
    finally:
        process.kill()
        process.wait()
