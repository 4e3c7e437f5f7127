"""How costs grow with open streams, readers, nodes and kept streams: ``python -m benchmarks.growth [PART …]``.

Everything is over a Redis of its own. The figures are CPU times, counts and memory, which a busy machine distorts
least; each is printed as it is known, and each part ends by itself.
"""

from __future__ import annotations

import argparse
import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.client import BenchLoad
from benchmarks.follower import FollowerLoad
from benchmarks.interpreter import describe_interpreter
from benchmarks.lines import Size
from benchmarks.processes import Process, open_streams, run_followers, run_load, running_server, running_upstream
from benchmarks.redis_server import BenchRedis, running_redis
from benchmarks.spec import BenchAnswer
from benchmarks.wires import echo_request

ECHO = BenchAnswer(1000)
SHORT = BenchAnswer(1)
READ_TOKENS = 100
NODES = (2, 5, 10, 20)
KEPT = (1000, 10_000, 100_000)
READER_COUNTS = (1, 10, 100, 1000)
LOOKUPS = 500
KEEPING: Mapping[str, Any] = {"retention_seconds": 36_000, "max_total_bytes": 2**34}
SETTLING_SECONDS = 2.0
"""For what follows the last request, and for each process's first heartbeats."""


@dataclass(frozen=True)
class Growth:
    """The servers and sizes of a run."""

    folder: Path
    upstream: Process
    size: Size

    @property
    def read(self) -> BenchAnswer:
        """The answer that is read elsewhere: ten tokens a second."""
        return BenchAnswer(self.size.of(READ_TOKENS, 10), 100_000)

    @contextmanager
    def node(self, store: str, **resume: Any) -> Iterator[Process]:
        """Run a server with this store."""
        models = [answer.model for answer in (ECHO, SHORT, self.read)]
        config = {"resume": {"store": store, **resume}}
        with running_server(self.folder, self.upstream, models, config=config) as server:
            yield server

    def sizes(self, full: Sequence[int], least: int) -> list[int]:
        return list(dict.fromkeys(self.size.of(each, least) for each in full))

    def report(self, what: str, figures: Mapping[str, float]) -> None:
        shown = ", ".join(f"{name} {value:,.4g}" for name, value in figures.items())
        print(f"{what}: {shown}", flush=True)


def open_many(growth: Growth) -> None:
    """Open 10,000 streams of the echo provider as fast as possible, over both stores."""
    count = growth.size.of(10_000)
    for store in ("memory", "Redis"):
        with running_redis(growth.folder) as redis, growth.node("memory" if store == "memory" else redis.url) as node:
            load = BenchLoad(
                port=node.port,
                model=ECHO.model,
                tokens=ECHO.tokens,
                streams=count,
                concurrency=count,
                echo=True,
                hold=True,
                limit_seconds=300,
            )
            memory, cpu, began = node.memory_bytes(), node.cpu_seconds(), time.perf_counter()
            own_memory, own_cpu = redis.memory_bytes(), redis.cpu_seconds()
            with open_streams(load):
                growth.report(
                    f"{count:,} streams opened over {store}",
                    {
                        "s": time.perf_counter() - began,
                        "ms CPU each": (node.cpu_seconds() - cpu) / count * 1000,
                        "KiB each": (node.memory_bytes() - memory) / count / 1024,
                        "KiB each in Redis": (redis.memory_bytes() - own_memory) / count / 1024,
                        "ms CPU each in Redis": (redis.cpu_seconds() - own_cpu) / count * 1000,
                    },
                )


def read_remotely(growth: Growth) -> None:
    """Read one stream of 100 tokens at another node, by 1 to 1,000 readers."""
    answer = growth.read
    with running_redis(growth.folder) as redis, growth.node(redis.url) as near, growth.node(redis.url) as far:
        for count in growth.sizes(READER_COUNTS, 1):
            load = FollowerLoad(
                port=near.port,
                reader_port=far.port,
                model=answer.model,
                streams=1,
                tokens=answer.tokens,
                readers=count,
            )
            before = [each.cpu_seconds() for each in (near, far, redis)]
            result = run_followers(load)
            after = [each.cpu_seconds() for each in (near, far, redis)]
            producer, reader, own = (later - earlier for earlier, later in zip(before, after, strict=True))
            growth.report(
                f"{count:,} readers elsewhere",
                {
                    "ms CPU a token at the producer": producer / answer.tokens * 1000,
                    "ms CPU a token at the readers": reader / answer.tokens * 1000,
                    "µs CPU a token and reader": reader / answer.tokens / count * 1e6,
                    "µs CPU a token in Redis": own / answer.tokens * 1e6,
                    "lag p50 ms": result.lags[0],
                    "failures": len(result.failures),
                },
            )


def add_nodes(growth: Growth) -> None:
    """Measure nodes that do nothing, and one that reads a stream of each of the others."""
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(growth.folder))
        nodes: list[Process] = []
        for count in growth.sizes(NODES, 2):
            while len(nodes) < count:
                nodes.append(stack.enter_context(growth.node(redis.url)))
            _progress(f"{count} nodes run")
            memory = statistics.median(node.memory_bytes() for node in nodes) / 2**20
            growth.report(f"{count} nodes, idle", {"MiB, median node": memory, **_idle(growth, redis, nodes)})
            with ExitStack() as reading:
                ids = [_open(reading, node, echo_request(ECHO.model)) for node in nodes[1:]]
                for stream_id in ids:
                    _open(reading, nodes[0], _get(stream_id))
                growth.report(f"{count} nodes, the first reads of each", _idle(growth, redis, nodes))
                growth.report(f"{count} nodes, a look-up", _look_up(growth, redis, nodes[0], ids))


def keep_many(growth: Growth) -> None:
    """Measure heartbeats and look-ups while up to 100,000 ended streams are kept."""
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(growth.folder))
        near, far = (stack.enter_context(growth.node(redis.url, **KEEPING)) for _ in range(2))
        memory, own_memory = near.memory_bytes(), redis.memory_bytes()
        kept = 0
        for target in growth.sizes(KEPT, 10):
            cpu, own_cpu, before = near.cpu_seconds(), redis.cpu_seconds(), kept
            while kept < target:
                kept += _keep(growth, near, min(2000, target - kept))
                _progress(f"{kept:,} streams kept")
            growth.report(
                f"{kept:,} kept streams",
                {
                    "ms CPU a request": (near.cpu_seconds() - cpu) / max(1, kept - before) * 1000,
                    "ms CPU a request in Redis": (redis.cpu_seconds() - own_cpu) / max(1, kept - before) * 1000,
                    "KiB each": (near.memory_bytes() - memory) / kept / 1024,
                    "KiB each in Redis": (redis.memory_bytes() - own_memory) / kept / 1024,
                },
            )
            growth.report(f"{kept:,} kept streams, heartbeats", _idle(growth, redis, [near, far]))
            ids = redis.stream_ids(LOOKUPS)
            growth.report(f"{kept:,} kept streams, a look-up here", _look_up(growth, redis, near, ids))
            growth.report(f"{kept:,} kept streams, a look-up elsewhere", _look_up(growth, redis, far, ids))


def _keep(growth: Growth, node: Process, count: int) -> int:
    """Run ``count`` short streams. Return how many are kept: those that did not fail."""
    load = BenchLoad(port=node.port, model=SHORT.model, tokens=SHORT.tokens, streams=count, concurrency=20)
    result = run_load(load)
    if result.failures:
        growth.report("failed", {result.failures[0]: count - result.complete})
    if not result.complete:
        raise RuntimeError("no stream was kept")
    return result.complete


def _idle(growth: Growth, redis: BenchRedis, nodes: Sequence[Process]) -> dict[str, float]:
    """Return what each process costs in a second in which nothing is asked."""
    time.sleep(growth.size.seconds(SETTLING_SECONDS))
    seconds = growth.size.seconds(10)
    cpu, first = [node.cpu_seconds() for node in nodes], nodes[0].cpu_seconds()
    commands, own, began = redis.commands(), redis.cpu_seconds(), time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - began
    spent = [node.cpu_seconds() - before for node, before in zip(nodes, cpu, strict=True)]
    return {
        "ms CPU a s, first node": (nodes[0].cpu_seconds() - first) / passed * 1000,
        "ms CPU a s, median node": statistics.median(spent) / passed * 1000,
        "commands a s and node": (redis.commands() - commands) / passed / len(nodes),
        "ms CPU a s and node in Redis": (redis.cpu_seconds() - own) / passed / len(nodes) * 1000,
    }


def _look_up(growth: Growth, redis: BenchRedis, node: Process, ids: Sequence[str]) -> dict[str, float]:
    """Return what it costs to find a stream by its id, to begin an answer on a new connection, and to close it."""
    count = growth.size.of(LOOKUPS, 10)
    cpu, fetched, spent = node.cpu_seconds(), *redis.command("xrange")
    for number in range(count):
        with ExitStack() as stack:
            _open(stack, node, _get(ids[number % len(ids)]))
    calls, seconds = redis.command("xrange")
    return {
        "ms CPU": (node.cpu_seconds() - cpu) / count * 1000,
        "XRANGE": (calls - fetched) / count,
        "µs in Redis": (seconds - spent) / count * 1e6,
    }


def _get(stream_id: str) -> bytes:
    return f"GET /api/chat/streams/{stream_id} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def _open(stack: ExitStack, node: Process, request: bytes) -> str:
    """Start a response that stays open. Return the id of its stream."""
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", node.port), timeout=30))
    sock.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(65536)
        if not data:
            break
        head += data
    found = re.search(rb"x-stream-id: *([\w-]+)", head, re.IGNORECASE)
    if found is None:
        raise RuntimeError(f"no stream: {head[:200]!r}")
    return found[1].decode()


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


PARTS: Mapping[str, Callable[[Growth], None]] = {
    "open": open_many,
    "readers": read_remotely,
    "nodes": add_nodes,
    "kept": keep_many,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything, to see that it works")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    print(describe_interpreter(), flush=True)
    with tempfile.TemporaryDirectory(prefix="growth-") as folder, running_upstream(Path(folder)) as upstream:
        growth = Growth(Path(folder), upstream, Size(arguments.quick))
        for name in arguments.parts or PARTS:
            _progress(f"part {name}")
            PARTS[name](growth)
    return 0


if __name__ == "__main__":
    sys.exit(main())
