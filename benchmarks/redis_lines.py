"""The measurements over Redis, each beside the same one over the memory store."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from benchmarks.follower import FollowerLoad, FollowerResult
from benchmarks.lines import (
    FULL,
    HALF,
    LIGHT,
    BenchSetup,
    Figures,
    Line,
    Pace,
    alone,
    make_load,
    measure_load,
    short,
    warm_up,
)
from benchmarks.processes import Process, run_followers
from benchmarks.redis_server import BenchRedis, running_redis
from benchmarks.spec import BenchAnswer

NodeConfig = Mapping[str, Any]


class Shared(NamedTuple):
    """A Redis, and the servers that share it."""

    redis: BenchRedis
    nodes: list[Process]


@contextmanager
def _sharing(bench: BenchSetup, *configs: NodeConfig) -> Iterator[Shared]:
    """Run a Redis, and a server over it for each of ``configs``."""
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(bench.folder))
        nodes = [stack.enter_context(bench.start({"resume": {"store": redis.url}, **config})) for config in configs]
        for node in nodes:
            warm_up(bench, node)
        yield Shared(redis, nodes)


class Cost(NamedTuple):
    """What a token costs, in microseconds of CPU."""

    server: float
    redis: float = 0.0
    gap_p99: float = math.nan

    def over(self, memory: Cost) -> Figures:
        """Return the figures, with the ratios to the same load over the memory store."""
        return {
            "µs/token, memory": memory.server,
            "µs/token, Redis": self.server,
            "µs/token, Redis' own": self.redis,
            "server / memory": self.server / memory.server,
            "server and Redis / memory": (self.server + self.redis) / memory.server,
            "gap p99 ms, memory": memory.gap_p99,
            "gap p99 ms, Redis": self.gap_p99,
        }


def _cost(bench: BenchSetup, server: Process, pace: Pace, redis: BenchRedis | None = None) -> Cost:
    before = redis.cpu_seconds() if redis else 0.0
    result, cpu = measure_load(bench, server, pace.load(bench, server))
    own = redis.cpu_seconds() - before if redis else 0.0
    if not result.tokens:
        return Cost(math.nan, math.nan)
    gap = math.nan if result.gap_p99 is None else result.gap_p99
    return Cost(cpu / result.tokens * 1e6, own / result.tokens * 1e6, gap)


def over_redis(pace: Pace, config: NodeConfig) -> Callable[[BenchSetup, Process], Figures]:
    """Measure a load over the memory store, then over Redis."""

    def measure(bench: BenchSetup, server: Process) -> Figures:
        memory = _cost(bench, server, pace)
        with _sharing(bench, config) as shared:
            return _cost(bench, shared.nodes[0], pace, shared.redis).over(memory)

    return measure


def read_remotely(pace: Pace) -> Callable[[BenchSetup, Process], Figures]:
    """Measure streams that have a reader at another node too."""

    def measure(bench: BenchSetup, server: Process) -> Figures:
        memory = _cost(bench, server, pace)
        with _sharing(bench, {}, {}) as (redis, (near, far)):
            before = [redis.cpu_seconds(), near.cpu_seconds(), far.cpu_seconds()]
            result = load_with_readers(bench, near, far, pace)
            after = [redis.cpu_seconds(), near.cpu_seconds(), far.cpu_seconds()]
        if not result.tokens:
            return {}
        own, producer, reader = ((b - a) / result.tokens * 1e6 for a, b in zip(before, after, strict=True))
        p50, p99, longest = result.lags
        return {
            "µs/token, memory": memory.server,
            "µs/token, producer": producer,
            "µs/token, reader's node": reader,
            "µs/token, Redis' own": own,
            "producer / memory": producer / memory.server,
            "gap p99 ms, at the producer": result.producer_gap_p99,
            "gap p99 ms, at the other node": result.gap_p99,
            "lag p50 ms": p50,
            "lag p99 ms": p99,
            "lag, longest, ms": longest,
        }

    return measure


def load_with_readers(bench: BenchSetup, near: Process, far: Process, pace: Pace) -> FollowerResult:
    """Run a load at ``near``, with a reader of each stream at ``far``."""
    answer = pace.answer(bench.size)
    result = run_followers(
        FollowerLoad(
            port=near.port,
            reader_port=far.port,
            model=answer.model,
            streams=bench.size.of(pace.streams),
            tokens=answer.tokens,
            ramp=bench.size.seconds(2),
        )
    )
    bench.failures += result.failures
    return result


def opening(bench: BenchSetup, server: Process) -> Figures:
    """Measure the time that Redis adds to the first token, one stream at a time."""
    memory = alone(bench, server)
    with _sharing(bench, {}) as shared:
        over = alone(bench, shared.nodes[0])
    return {
        **{f"{name}, memory": value for name, value in memory.items()},
        **{f"{name}, Redis": value for name, value in over.items()},
        "added TTFT p50 ms": over["TTFT p50 ms"] - memory["TTFT p50 ms"],
    }


def short_requests(bench: BenchSetup, server: Process) -> Figures:
    """Measure requests of five tokens."""
    memory = short(bench, server)["ms/request"]
    count = bench.size.of(2000)
    with _sharing(bench, {}) as (redis, (node,)):
        before = redis.cpu_seconds()
        over = short(bench, node)["ms/request"]
        own = (redis.cpu_seconds() - before) / count * 1000
    return {
        "ms/request, memory": memory,
        "ms/request, Redis": over,
        "ms/request, Redis' own": own,
        "server / memory": over / memory,
        "server and Redis / memory": (over + own) / memory,
    }


def code_over_redis(bench: BenchSetup, server: Process) -> Figures:
    """Count the byte code that a token costs over both stores, where sixty streams share what a batch costs."""
    with _sharing(bench, {}) as shared:
        counted = {"memory": _counted(bench, server), "Redis": _counted(bench, shared.nodes[0])}
    figures = {f"instructions/token, {store}": value for store, value in counted.items()}
    return figures | {"Redis / memory": counted["Redis"] / counted["memory"]}


def _counted(bench: BenchSetup, server: Process) -> float:
    """Return the instructions of a token: of two answers' difference, so that those of the request go out."""
    count = bench.size.of(LIGHT.streams)

    def instructions(tokens: int) -> int:
        answer = BenchAnswer(tokens, LIGHT.gap_us)
        ramp = LIGHT.gap_us / 1e6
        load = make_load(bench, server, answer, streams=count, concurrency=count, ramp=ramp)
        return server.counts(lambda: measure_load(bench, server, load)).instructions

    few, many = COUNTED
    return (instructions(many) - instructions(few)) / count / (many - few)


COUNTED = (5, 25)
WORKERS: NodeConfig = {"server": {"workers": 2}}


def _lines() -> Iterator[Line]:
    paces = {
        "light": (LIGHT, "60 streams at 20 tokens/s"),
        "half": (HALF, "200 streams at 50 tokens/s"),
        "full": (FULL, "500 streams at 50 tokens/s"),
    }
    kinds: dict[str, tuple[str, Callable[[Pace], Callable[[BenchSetup, Process], Figures]]]] = {
        "redis": ("over Redis", lambda pace: over_redis(pace, {})),
        "workers": ("two workers over Redis", lambda pace: over_redis(pace, WORKERS)),
        "elsewhere": ("a reader at another node", read_remotely),
    }
    for kind, (title, measured) in kinds.items():
        for name, (pace, load) in paces.items():
            yield Line(f"{kind}-{name}", f"{title}, {load}", measured(pace), extra=True, ours_only=True)
    yield Line("redis-alone", "one stream at a time over Redis", opening, extra=True, ours_only=True)
    yield Line("redis-short", "short requests over Redis", short_requests, extra=True, ours_only=True)
    yield Line("redis-code", "byte code over Redis, light", code_over_redis, extra=True, ours_only=True, counted=True)


REDIS_LINES = tuple(_lines())
