"""A load client that starts streams at one node, and reads each of them at another node too.

``python -m benchmarks.follower`` reads one :class:`FollowerLoad` as JSON from its standard input, and prints one
:class:`FollowerResult`.
"""

from __future__ import annotations

import asyncio
import re
import resource
import sys
import time
from array import array
from collections.abc import Callable
from typing import cast

import msgspec

from benchmarks.client import LAST_CHUNK, percentile
from benchmarks.spec import MARK
from benchmarks.wires import BENCH_WIRES

_STREAM_ID_HEADER = re.compile(rb"x-stream-id: *([\w-]+)", re.IGNORECASE)


class FollowerLoad(msgspec.Struct, kw_only=True):
    """A load of ``streams`` requests for ``model`` at ``port``, spread over ``ramp`` seconds; each stream has one
    reader there and ``readers`` at ``reader_port``."""

    port: int
    reader_port: int
    model: str
    streams: int
    tokens: int
    readers: int = 1
    ramp: float = 0.0
    limit_seconds: float = 120.0


class FollowerResult(msgspec.Struct, kw_only=True):
    """The result of a load. Times are in milliseconds."""

    tokens: int
    """Tokens that the readers at ``reader_port`` got."""
    gap_p99: float
    """Times between tokens, at ``reader_port``."""
    producer_gap_p99: float
    lags: list[float]
    """Percentiles 50, 99 and 100 of how much later a token came at ``reader_port``, from each reader's first read on:
    what was there before is no lag."""
    failures: list[str]


class _Reading(asyncio.Protocol):
    """A connection that notes when each token arrives."""

    def __init__(self, request: bytes, on_id: Callable[[str], None], on_end: Callable[[str | None], None]) -> None:
        self._request = request
        self._on_id = on_id
        self._on_end = on_end
        self._head: bytes | None = b""
        self._tail = b""
        self._ended = False
        self.arrivals = array("d")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self._head is not None:
            self._head += data
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            self._head = None
            found = _STREAM_ID_HEADER.search(head)
            if not head.startswith(b"HTTP/1.1 200") or found is None:
                self._end(repr((head + data)[:200]))
                return
            self._on_id(found[1].decode())
        self.arrivals.extend([now] * data.count(MARK))
        self._tail = (self._tail + data)[-len(LAST_CHUNK) :]
        if self._tail == LAST_CHUNK:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"connection lost: {exc!r}")

    def _end(self, failure: str | None) -> None:
        if not self._ended:
            self._ended = True
            self._transport.close()
            self._on_end(failure)


class _Following:
    """A running load."""

    def __init__(self, load: FollowerLoad) -> None:
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._left = load.streams * (1 + load.readers)
        self._over = asyncio.Event()
        self._failures: list[str] = []
        self._pairs: list[tuple[_Reading, list[_Reading]]] = []

    async def run(self) -> FollowerResult:
        load, began = self._load, self._loop.time()
        try:
            async with asyncio.timeout(load.limit_seconds):
                for number in range(load.streams):
                    await asyncio.sleep(max(0.0, began + load.ramp * number / load.streams - self._loop.time()))
                    await self._start(number)
                await self._over.wait()
        except TimeoutError:
            self._failures.append(f"{self._left} readers did not end in {load.limit_seconds} s")
        return self._result()

    async def _start(self, number: int) -> None:
        followers: list[_Reading] = []
        wire = BENCH_WIRES["native"]
        request = wire.request(wire.body(self._load.model, f"#{number} Say something."))
        producer = _Reading(request, lambda stream_id: self._follow(stream_id, followers), self._end)
        self._pairs.append((producer, followers))
        await self._loop.create_connection(lambda: producer, "127.0.0.1", self._load.port)

    def _follow(self, stream_id: str, followers: list[_Reading]) -> None:
        request = f"GET /api/chat/streams/{stream_id} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        followers += (_Reading(request, lambda _: None, self._end) for _ in range(self._load.readers))
        task = self._loop.create_task(self._connect(followers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, followers: list[_Reading]) -> None:
        for follower in followers:
            await self._loop.create_connection(lambda follower=follower: follower, "127.0.0.1", self._load.reader_port)  # type: ignore[misc]

    def _end(self, failure: str | None) -> None:
        if failure is not None:
            self._failures.append(failure)
        self._left -= 1
        if self._left == 0:
            self._over.set()

    def _result(self) -> FollowerResult:
        readings = [(producer, follower) for producer, followers in self._pairs for follower in followers]
        for reading in {each for pair in readings for each in pair}:
            if len(reading.arrivals) != self._load.tokens:
                self._failures.append(f"{len(reading.arrivals)} tokens of {self._load.tokens}")
        lags = sorted(lag for producer, follower in readings for lag in _lags(producer.arrivals, follower.arrivals))
        return FollowerResult(
            tokens=sum(len(follower.arrivals) for _, follower in readings),
            gap_p99=_gap_p99([follower for _, follower in readings]),
            producer_gap_p99=_gap_p99([producer for producer, _ in self._pairs]),
            lags=[percentile(lags, percent) for percent in (50, 99, 100)],
            failures=self._failures[:20],
        )


def _lags(produced: array[float], followed: array[float]) -> list[float]:
    """Return how much later, in milliseconds, each token came that came live."""
    if not followed:
        return []
    return [(late - early) * 1000 for early, late in zip(produced, followed, strict=False) if early > followed[0]]


def _gap_p99(readings: list[_Reading]) -> float:
    gaps = [
        (later - earlier) * 1000
        for reading in readings
        for earlier, later in zip(reading.arrivals, reading.arrivals[1:], strict=False)
    ]
    return percentile(sorted(gaps), 99)


def main() -> None:
    import uvloop

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load = msgspec.json.decode(sys.stdin.readline(), type=FollowerLoad)

    async def follow() -> FollowerResult:
        return await _Following(load).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(follow())
    print(msgspec.json.encode(result).decode(), flush=True)


if __name__ == "__main__":
    main()
