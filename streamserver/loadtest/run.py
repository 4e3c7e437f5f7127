"""Running a load test: streams started at their pace, samples taken, Ctrl-C heard."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from streamserver.loadtest.plan import Plan
from streamserver.loadtest.reader import LoadReader, Sessions, Target, open_sessions
from streamserver.loadtest.result import LoadTestResult, Sample
from streamserver.loadtest.server import Watch, echo_server, processes_behind

SAMPLE_SECONDS = 0.5


async def perform(plan: Plan, api_key: str | None, show: Callable[[LoadTestResult], None]) -> LoadTestResult:
    """Run ``plan``; ``show`` is called twice a second with the result so far.

    Raises :class:`~streamserver.loadtest.server.ServerDied`.
    """
    async with _server(plan) as (url, pids), open_sessions() as sessions:
        target = Target(plan, url, api_key)
        result = LoadTestResult(plan)
        watch = Watch(pids)
        cpu = time.process_time()
        with _interrupts() as interrupted:
            await _run(plan, target, sessions, result, watch, show, interrupted)
        result.interrupted = interrupted.is_set()
        result.seconds = time.perf_counter() - result.began
        result.client_cpu_seconds = time.process_time() - cpu
        result.usage = watch.usage()
        return result


@asynccontextmanager
async def _server(plan: Plan) -> AsyncIterator[tuple[str, list[int]]]:
    if plan.url is not None:
        yield plan.url, processes_behind(plan.url)
        return
    async with echo_server(plan) as (url, pid):
        yield url, [pid]


async def _run(
    plan: Plan,
    target: Target,
    sessions: Sessions,
    result: LoadTestResult,
    watch: Watch,
    show: Callable[[LoadTestResult], None],
    interrupted: asyncio.Event,
) -> None:
    loop = asyncio.get_running_loop()

    def read(number: int, due: float) -> LoadReader:
        return LoadReader(target, sessions, result, plan.behaviour(number))

    async def load() -> None:
        async with asyncio.TaskGroup() as group:
            if plan.rate is not None:
                await _open_loop(plan, plan.rate, group, read)
            else:
                _closed_loop(plan, group, read)

    running = loop.create_task(load())
    watching = loop.create_task(_sample(result, watch, show))
    stopping = loop.create_task(interrupted.wait())
    try:
        await asyncio.wait((running, watching, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (running, watching, stopping):
            task.cancel()
        await asyncio.wait((running, watching, stopping))
    for task in (running, watching):
        if not task.cancelled():
            task.result()


async def _open_loop(
    plan: Plan, rate: float, group: asyncio.TaskGroup, read: Callable[[int, float], LoadReader]
) -> None:
    began = time.perf_counter()
    for number in _numbers(plan):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        group.create_task(read(number, due).run(due))


def _closed_loop(plan: Plan, group: asyncio.TaskGroup, read: Callable[[int, float], LoadReader]) -> None:
    numbers = _numbers(plan)

    async def one_after_another() -> None:
        for number in numbers:
            due = time.perf_counter()
            await read(number, due).run(due)

    assert plan.concurrency is not None
    for _ in range(min(plan.concurrency, plan.most_streams)):
        group.create_task(one_after_another())


def _numbers(plan: Plan) -> Iterator[int]:
    """Yield the streams' numbers, for as long as streams are to be started."""
    end = time.perf_counter() + (plan.duration or float("inf"))
    return itertools.takewhile(lambda _: time.perf_counter() < end, range(plan.most_streams))


async def _sample(result: LoadTestResult, watch: Watch, show: Callable[[LoadTestResult], None]) -> None:
    """Look at the test twice a second, until cancelled."""
    then, tokens, cpu = result.began, 0, watch.cpu_seconds()
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        now = time.perf_counter()
        cpu_now, memory = watch.look()
        spent = None if cpu is None or cpu_now is None else (cpu_now - cpu) / (now - then) * 100
        result.samples.append(
            Sample(
                seconds=round(now - result.began, 2),
                open_streams=result.open,
                tokens_per_second=round((result.tokens - tokens) / (now - then), 1),
                cpu_percent=None if spent is None else round(spent, 1),
                memory_bytes=memory,
            )
        )
        then, tokens, cpu = now, result.tokens, cpu_now
        show(result)


@contextmanager
def _interrupts() -> Iterator[asyncio.Event]:
    """Set at the first Ctrl-C; a second one is Python's own."""
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()

    def interrupt() -> None:
        interrupted.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        loop.remove_signal_handler(signal.SIGINT)
