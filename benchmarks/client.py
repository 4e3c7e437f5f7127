"""A cheap load client: asks for streams, counts tokens as they arrive, and notes when.

``python -m benchmarks.client`` reads one :class:`BenchLoad` as JSON from its standard input, and prints one
:class:`BenchResult`. With ``hold`` it first prints ``open`` when every stream has its first tokens, and goes on
until its input ends.
"""

from __future__ import annotations

import asyncio
import math
import resource
import socket
import sys
import time
from array import array
from collections.abc import Sequence
from typing import cast

import msgspec

from benchmarks.wires import BENCH_WIRES, echo_request

LAST_CHUNK = b"\r\n0\r\n\r\n"
"""What ends a chunked response."""


class BenchLoad(msgspec.Struct, kw_only=True):
    """A load of ``streams`` requests for ``model``, at most ``concurrency`` at a time, the first of them spread over
    ``ramp`` seconds, on the wire of the name ``wire``: one of :data:`~benchmarks.wires.BENCH_WIRES`."""

    port: int
    model: str
    streams: int
    concurrency: int
    tokens: int
    wire: str = "native"
    echo: bool = False
    """Ask the echo provider, which sends the mark of a token back."""
    ramp: float = 0.0
    first_number: int = 0
    """Streams are numbered from here, so that the upstream's report of one load is not taken for another's."""
    leave_after: int = 0
    """The number of tokens after which the connection is closed."""
    hold: bool = False
    stall: bool = False
    """Read the headers, and then nothing."""
    limit_seconds: float = 120.0


class BenchResult(msgspec.Struct, kw_only=True):
    """The result of a load. Times are in milliseconds."""

    complete: int
    """Streams that ended with all their tokens."""
    tokens: int
    seconds: float
    ttft: list[float]
    gap_p99: float | None
    """Times between tokens; None if no stream had two."""
    left: dict[int, float]
    """When (``time.monotonic()``) stream number … was closed by this client."""
    failures: list[str]


class _Run:
    """A running load."""

    def __init__(self, load: BenchLoad) -> None:
        self.load = load
        self.wire = BENCH_WIRES[load.wire]
        self.started = 0
        self.ended = 0
        self.complete = 0
        self.tokens = 0
        self.opened = 0
        self.ttft: list[float] = []
        self.gaps = array("d")
        self.left: dict[int, float] = {}
        self.failures: list[str] = []
        self.over = asyncio.Event()
        self.open = asyncio.Event()

    def request(self) -> bytes | None:
        """Return the next request, or None after the last."""
        if self.started == self.load.streams:
            return None
        number = self.load.first_number + self.started
        self.started += 1
        if self.load.echo:
            return echo_request(self.load.model)
        return self.wire.request(self.wire.body(self.load.model, f"#{number} Say something."))

    def end(self) -> None:
        self.ended += 1
        if self.ended == self.load.streams:
            self.over.set()


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self._run = run
        self._busy = False
        self._tail = b""
        self._cut = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._next()

    def _next(self) -> None:
        self._number = self._run.load.first_number + self._run.started
        request = self._run.request()
        if request is None:
            self._transport.close()
            return
        self._busy = True
        self._tokens = 0
        self._tail = self._cut = b""
        self._ok = False
        self._asked = self._last = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self._ok:
            self._tail += data
            if len(self._tail) < 12:
                return
            if not self._tail.startswith(b"HTTP/1.1 200"):
                self._fail(repr(self._tail[:200]))
                return
            self._ok = True
            if self._run.load.stall:
                self._stall()
                return
        mark = self._run.wire.mark
        seen = self._cut + data  # the kernel may cut a mark
        self._cut = seen[max(0, len(seen) - len(mark) + 1) :]
        count = seen.count(mark)
        if count:
            self._count(count, now)
        self._tail = self._tail[-len(LAST_CHUNK) :] + data if len(data) < len(LAST_CHUNK) else data
        if self._tail.endswith(LAST_CHUNK):
            self._end()

    def _stall(self) -> None:
        self._transport.pause_reading()
        self._opened()

    def _opened(self) -> None:
        self._run.opened += 1
        if self._run.opened == self._run.load.streams:
            self._run.open.set()

    def _count(self, count: int, now: float) -> None:
        run = self._run
        before, self._tokens = self._tokens, self._tokens + count
        if before:
            run.gaps.append((now - self._last) * 1000)
        else:
            run.ttft.append((now - self._asked) * 1000)
        if count > 1:
            run.gaps.extend([0.0] * (count - 1))
        if not before:
            self._opened()
        self._last = now
        run.tokens += count
        if run.load.leave_after and self._tokens >= run.load.leave_after and self._busy:
            self._busy = False
            run.left[self._number] = time.monotonic()
            self._transport.abort()
            run.end()

    def _end(self) -> None:
        self._busy = False
        if self._tokens == self._run.load.tokens:
            self._run.complete += 1
        else:
            self._run.failures.append(f"{self._tokens} tokens of {self._run.load.tokens}")
        self._run.end()
        self._next()

    def _fail(self, why: str) -> None:
        self._run.failures.append(why)
        self._busy = False
        self._run.end()
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._busy:
            self._busy = False
            self._run.failures.append(f"connection lost: {exc!r}")
            self._run.end()


async def run_bench_load(load: BenchLoad) -> BenchResult:
    """Run ``load`` for at most its ``limit_seconds``."""
    run = _Run(load)
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(load.limit_seconds):
            for number in range(min(load.concurrency, load.streams)):
                await asyncio.sleep(max(0.0, began + load.ramp * number / load.concurrency - loop.time()))
                try:
                    await loop.create_connection(lambda: _Connection(run), sock=await _connect(loop, load))
                except OSError as error:
                    run.started += 1
                    run.failures.append(f"cannot connect: {error}")
                    run.end()
            if load.hold or load.stall:
                await run.open.wait()
                print("open", flush=True)
                await loop.run_in_executor(None, sys.stdin.read)
            else:
                await run.over.wait()
    except TimeoutError:
        run.failures.append(f"{load.streams - run.ended} streams did not end in {load.limit_seconds} s")
    gaps = sorted(run.gaps)
    return BenchResult(
        complete=run.complete,
        tokens=run.tokens,
        seconds=loop.time() - began,
        ttft=run.ttft,
        gap_p99=percentile(gaps, 99) if gaps else None,
        left=run.left,
        failures=run.failures[:20] + [f"… {len(run.failures)} failures"] * (len(run.failures) > 20),
    )


async def _connect(loop: asyncio.AbstractEventLoop, load: BenchLoad) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if load.stall:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        await loop.sock_connect(sock, ("127.0.0.1", load.port))
    except OSError:
        sock.close()
        raise
    return sock


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the percentile of a sorted sequence by nearest rank, or NaN if it is empty."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def main() -> None:
    import uvloop

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load = msgspec.json.decode(sys.stdin.readline(), type=BenchLoad)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(run_bench_load(load))
    print(msgspec.json.encode(result).decode(), flush=True)


if __name__ == "__main__":
    main()
