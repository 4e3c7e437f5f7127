"""The measurements, one for each line of the table."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.client import BenchLoad, BenchResult, percentile
from benchmarks.processes import Counts, Process, open_streams, run_load, upstream_report
from benchmarks.spec import BenchAnswer

Figures = dict[str, float]
"""Figures of a measurement by name, which ends in the unit."""


_numbers = itertools.count()


@dataclass(frozen=True)
class Size:
    """The size of a measurement: full, or a hundredth of it for a test."""

    quick: bool

    def of(self, full: int, least: int = 2) -> int:
        return max(least, full // 100) if self.quick else full

    def seconds(self, full: float) -> float:
        return full / 10 if self.quick else full


StartServer = Callable[[Mapping[str, Any]], AbstractContextManager[Process]]


@dataclass
class BenchSetup:
    """The servers and sizes that a measurement uses."""

    upstream: Process
    size: Size
    folder: Path
    """For what they write."""
    start: StartServer
    """Start another server of the sources that are measured, with these tables of its configuration."""
    wire: str = "native"
    """The wire that the server is asked on; the upstream has only that of chat completions."""
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """A measurement of a new process."""

    name: str
    title: str
    measure: Callable[[BenchSetup, Process], Figures]
    direct: bool = False
    """Also measured for the upstream alone, to be subtracted."""
    extra: bool = False
    """Run only when named, or with ``all``."""
    ours_only: bool = False
    counted: bool = False
    """Byte code is counted."""
    wire: str = "native"
    patient: bool = False
    """The send timeout is so long that stalled readers are kept."""


def make_load(bench: BenchSetup, server: Process, answer: BenchAnswer, **fields: Any) -> BenchLoad:
    wire = "chat" if server is bench.upstream else bench.wire
    return BenchLoad(port=server.port, model=answer.model, tokens=answer.tokens, wire=wire, **fields)


class Pace(NamedTuple):
    """The number of streams at a time, of their tokens, and the gap between two."""

    streams: int
    tokens: int
    gap_us: int

    def answer(self, size: Size) -> BenchAnswer:
        return BenchAnswer(size.of(self.tokens, self.tokens // 10), self.gap_us)

    def load(self, bench: BenchSetup, server: Process) -> BenchLoad:
        count, ramp = bench.size.of(self.streams), bench.size.seconds(2)
        return make_load(bench, server, self.answer(bench.size), streams=count, concurrency=count, ramp=ramp)


LIGHT = Pace(60, 100, 50_000)
HALF = Pace(200, 200, 20_000)
FULL = Pace(500, 200, 20_000)


def warm_up(bench: BenchSetup, server: Process) -> None:
    """Run the first requests, which pay for things that are not measured."""
    measure_load(bench, server, make_load(bench, server, BenchAnswer(5), streams=100, concurrency=10))


def measure_load(bench: BenchSetup, server: Process, load: BenchLoad) -> tuple[BenchResult, float]:
    """Run ``load``. Return its result, and the CPU seconds that the server spent."""
    before = server.cpu_seconds()
    result = run_load(load)
    cpu = server.cpu_seconds() - before
    bench.failures += result.failures
    return result, cpu


def _per_token(bench: BenchSetup, server: Process, load: BenchLoad) -> Figures:
    result, cpu = measure_load(bench, server, load)
    ttft = sorted(result.ttft)
    return {
        "µs/token": cpu / result.tokens * 1e6 if result.tokens else math.nan,
        "CPU %": cpu / result.seconds * 100,
        "tokens/s": result.tokens / result.seconds,
        "TTFT p50 ms": percentile(ttft, 50),
        "TTFT p99 ms": percentile(ttft, 99),
        "gap p99 ms": math.nan if result.gap_p99 is None else result.gap_p99,
    }


def flooded(bench: BenchSetup, server: Process) -> Figures:
    size = bench.size
    load = make_load(bench, server, BenchAnswer(200), streams=size.of(500), concurrency=size.of(100))
    return _per_token(bench, server, load)


def paced(pace: Pace) -> Callable[[BenchSetup, Process], Figures]:
    def measure(bench: BenchSetup, server: Process) -> Figures:
        return _per_token(bench, server, pace.load(bench, server))

    return measure


def short(bench: BenchSetup, server: Process) -> Figures:
    count = bench.size.of(2000)
    load = make_load(bench, server, BenchAnswer(5), streams=count, concurrency=bench.size.of(50))
    result, cpu = measure_load(bench, server, load)
    return {"ms/request": cpu / count * 1000, "requests/s": count / result.seconds}


def alone(bench: BenchSetup, server: Process) -> Figures:
    """Measure one stream at a time."""
    load = make_load(bench, server, BenchAnswer(5), streams=bench.size.of(500), concurrency=1)
    result, _ = measure_load(bench, server, load)
    ttft = sorted(result.ttft)
    return {"TTFT p50 ms": percentile(ttft, 50), "TTFT p99 ms": percentile(ttft, 99)}


def gone(bench: BenchSetup, server: Process) -> Figures:
    """Measure the time from a client's close, after 20 tokens, to the close of the upstream's connection."""
    figures: Figures = {}
    count = bench.size.of(100)
    for gap_ms in (20, 100, 2000):
        answer = BenchAnswer(100, gap_ms * 1000, head=20)
        load = make_load(
            bench,
            server,
            answer,
            streams=count,
            concurrency=count,
            leave_after=20,
            ramp=bench.size.seconds(2),
            first_number=next(_numbers) * 1000,
        )
        result, _ = measure_load(bench, server, load)
        closes = _closes(bench, result.left.keys(), 4 * gap_ms / 1000 + 0.5)
        delays = sorted((closes[number] - left) * 1000 for number, left in result.left.items() if number in closes)
        missing = count - len(delays)
        figures[f"p99 ms, every {gap_ms} ms"] = math.inf if missing else percentile(delays, 99)
        figures[f"never closed, every {gap_ms} ms"] = missing
    return figures


def _closes(bench: BenchSetup, numbers: Collection[int], seconds: float) -> dict[int, float]:
    """Return when the upstream saw each stream close, for those that closed within ``seconds``."""
    closes: dict[int, float] = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not closes.keys() >= set(numbers):
        closes |= {int(number): at for number, at in upstream_report(bench.upstream)["closes"].items()}
        time.sleep(0.05)
    return closes


def memory(bench: BenchSetup, server: Process) -> Figures:
    """Measure 1,000 open streams at a token per second."""
    count = bench.size.of(1000)
    before, descriptors = server.memory_bytes(), server.descriptors()
    answer = BenchAnswer(60, 1_000_000)
    ramp = bench.size.seconds(4)
    with open_streams(make_load(bench, server, answer, streams=count, concurrency=count, ramp=ramp, hold=True)):
        taken = server.memory_bytes() - before
        opened = server.descriptors() - descriptors
    return {"KiB/stream": taken / count / 1024, "descriptors/stream": opened / count}


def opened(full: int) -> Callable[[BenchSetup, Process], Figures]:
    """Open many streams of the echo provider, with a token every 10 s, as fast as possible."""

    def measure(bench: BenchSetup, server: Process) -> Figures:
        count = bench.size.of(full)
        return _opening(
            server, make_load(bench, server, BenchAnswer(1000), streams=count, concurrency=count, echo=True, hold=True)
        )

    return measure


def _opening(server: Process, load: BenchLoad) -> Figures:
    memory, cpu, began = server.memory_bytes(), server.cpu_seconds(), time.perf_counter()
    with open_streams(load):
        return {
            "s until all are open": time.perf_counter() - began,
            "ms CPU/stream": (server.cpu_seconds() - cpu) / load.streams * 1000,
            "KiB/stream": (server.memory_bytes() - memory) / load.streams / 1024,
        }


def proxied(bench: BenchSetup, server: Process) -> Figures:
    """Measure 9,000 streams of an upstream: two descriptors each, of the 20,000 that a process may have here."""
    count = bench.size.of(9000)
    answer = BenchAnswer(60, 10_000_000)
    return _opening(server, make_load(bench, server, answer, streams=count, concurrency=count, hold=True))


def growth(bench: BenchSetup, server: Process) -> Figures:
    """Measure the cost of one more token in answers of 10 to 100,000 tokens, without that of the request."""

    def seconds(tokens: int, streams: int) -> float:
        load = make_load(bench, server, BenchAnswer(tokens), streams=streams, concurrency=min(streams, 10))
        return measure_load(bench, server, load)[1] / streams

    request = seconds(1, bench.size.of(2000))
    figures: Figures = {}
    for tokens in GROWTH:
        streams = max(1, bench.size.of(100_000, 1000) // tokens)
        figures[f"µs/token of {tokens:,}"] = (seconds(tokens, streams) - request) / (tokens - 1) * 1e6
    return figures


def code(bench: BenchSetup, server: Process) -> Figures:
    """Count the byte code of a lone token, and of a request, from two answers of different lengths."""
    count = bench.size.of(20)

    def counts(tokens: int) -> Counts:
        load = make_load(bench, server, BenchAnswer(tokens, 20_000), streams=count, concurrency=1)
        return server.counts(lambda: measure_load(bench, server, load))

    few, many = (counts(tokens) for tokens in ALONE)
    added = ALONE[1] - ALONE[0]
    instructions = (many.instructions - few.instructions) / count / added
    calls = (many.calls - few.calls) / count / added
    return {
        "instructions/token": instructions,
        "calls/token": calls,
        "instructions/request": few.instructions / count - ALONE[0] * instructions,
        "calls/request": few.calls / count - ALONE[0] * calls,
    }


def pile(bench: BenchSetup, server: Process) -> Figures:
    """Measure the cost of a request while finished streams are retained."""
    figures: Figures = {}
    memory = server.memory_bytes()
    count = bench.size.of(2000)
    for batch in range(5):
        load = make_load(bench, server, BenchAnswer(5), streams=count, concurrency=bench.size.of(50))
        figures[f"ms/request after {2000 * batch:,}"] = measure_load(bench, server, load)[1] / count * 1000
    figures["KiB/finished stream"] = (server.memory_bytes() - memory) / (5 * count) / 1024
    return figures


def with_stalled_readers(bench: BenchSetup, server: Process) -> Figures:
    """Measure 200 streams beside 1,000 stalled readers."""
    figures = {f"{name}, none stalled": value for name, value in paced(HALF)(bench, server).items() if name in FELT}
    count = bench.size.of(1000)
    load = make_load(bench, server, STALLING, streams=count, concurrency=count, stall=True)
    with open_streams(load):
        _until_idle(server)
        after = paced(HALF)(bench, server)
    return figures | {f"{name}, 1,000 stalled": value for name, value in after.items() if name in FELT}


def _until_idle(server: Process) -> None:
    """Wait until the server is idle, for at most ten seconds."""
    for _ in range(40):
        before = server.cpu_seconds()
        time.sleep(0.25)
        if server.cpu_seconds() - before < 0.01:
            return


ALONE = (5, 25)
GROWTH = (10, 100, 1000, 10_000, 100_000)
STALLING = BenchAnswer(300, token_bytes=1024)
"""More than the kernel and the server buffer for a reader."""
FELT = ("µs/token", "TTFT p99 ms", "gap p99 ms")


def _lines_of_wire(wire: str) -> Iterator[Line]:
    """Yield the lines of a wire that are measured for the native one too. The provider is OpenAI's on all."""
    for name, measure in (("flooded", flooded), ("full", paced(FULL)), ("light", paced(LIGHT)), ("code", code)):
        yield Line(
            f"{wire}-{name}",
            f"the {wire} wire, {name}",
            measure,
            extra=True,
            ours_only=True,
            counted=name == "code",
            wire=wire,
        )


LOCAL_LINES = (
    Line("flooded", "flooded, 100 streams", flooded),
    Line("full", "full, 500 streams at 50 tokens/s", paced(FULL), direct=True),
    Line("light", "light, 60 streams at 20 tokens/s", paced(LIGHT)),
    Line("short", "short requests (5 tokens)", short),
    Line("alone", "one stream at a time", alone, direct=True),
    Line("half", "half a core, 200 streams at 50 tokens/s", paced(HALF), direct=True),
    Line("gone", "client gone to upstream closed", gone),
    Line("memory", "memory per open stream, 1,000 open", memory),
    Line("open1000", "1,000 opened at once, of echo", opened(1000), extra=True, ours_only=True),
    Line("open5000", "5,000 opened at once, of echo", opened(5000), extra=True, ours_only=True),
    Line("open10000", "10,000 opened at once, of echo", opened(10_000), extra=True, ours_only=True),
    Line("proxied", "9,000 opened at once, of an upstream", proxied, extra=True),
    Line("code", "byte code, tokens that come alone", code, extra=True, ours_only=True, counted=True),
    *itertools.chain.from_iterable(map(_lines_of_wire, ("chat", "messages", "responses", "ui"))),
    Line("growth", "a longer answer", growth, extra=True),
    Line("pile", "finished streams kept", pile, extra=True, ours_only=True),
    Line("stalled", "200 streams beside stalled readers", with_stalled_readers, extra=True, patient=True),
)


def models(size: Size) -> list[str]:
    """Return every model that a measurement requests."""
    answers = [
        STALLING,
        BenchAnswer(200),
        BenchAnswer(1),
        BenchAnswer(5),
        *map(BenchAnswer, GROWTH),
        *(BenchAnswer(tokens, 20_000) for tokens in ALONE),
        BenchAnswer(60, 1_000_000),
        BenchAnswer(60, 10_000_000),
        *(pace.answer(size) for pace in (LIGHT, HALF, FULL)),
        *(BenchAnswer(tokens, LIGHT.gap_us) for tokens in ALONE),
        *(BenchAnswer(100, gap_ms * 1000, head=20) for gap_ms in (20, 100, 2000)),
    ]
    return sorted({answer.model for answer in answers})
