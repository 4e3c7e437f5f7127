"""Random schedules of faults, from a seed: what a network, a person and a provider may do to one answer.

``python -m tests.client.schedules --runtime node --count 500 --seed 7`` runs them and prints what came of it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.browser.conftest import running_chromium
from tests.client.relay import Fault, FaultKind, running_fault_relay
from tests.client.runtimes import (
    COMMANDS,
    PythonRuntime,
    Runtime,
    Seen,
    Task,
    running_page,
    running_script,
    running_site,
)
from tests.conftest import openai_at
from tests.support.ports import free_port
from tests.support.programs import found
from tests.support.redis import running_redis
from tests.support.server import running_server
from tests.support.upstream import DONE, Exchange, Script, Upstream, chunk, running_upstream

KEEPALIVE_SECONDS = 0.4
AT_ONCE = 10
WORDS = ("word ", "two\nlines ", "\n\n", "data: x\n", ": no comment ", "é€𝄞 ", "\u2028", "id: 7 ", "x" * 300, " ")
KINDS: tuple[FaultKind, ...] = ("refuse", "cut_request", "cut", "cut", "cut", "close", "close", "freeze", "swallow")


class Schedule(msgspec.Struct, frozen=True):
    """The events of one answer's transport."""

    prompt: str
    pieces: tuple[str, ...]
    gaps: tuple[float, ...]
    breaks_off: bool
    """The provider's connection breaks after the last piece."""
    faults: tuple[Fault, ...]
    action: str
    at: int


def schedule_of(seed: int, number: int) -> Schedule:
    """Return the schedule of that number under ``seed``."""
    prompt = f"schedule {seed} {number}"
    dice = random.Random(prompt)
    count = dice.randint(1, 30)
    gaps = [dice.choice((0.0, 0.0, 0.01, 0.03)) for _ in range(count)]
    if dice.random() < 0.2:
        gaps[dice.randrange(count)] = 2.2 * KEEPALIVE_SECONDS  # long enough for pings
    faults: list[Fault] = []
    while dice.random() < 0.6 and len(faults) < 8:
        kind = dice.choice(KINDS)
        faults.append(Fault(kind, dice.randint(0, 500) if kind == "cut_request" else dice.randint(0, 2500)))
    return Schedule(
        prompt,
        tuple(dice.choice(WORDS) for _ in range(count)),
        tuple(gaps),
        dice.random() < 0.1,
        tuple(faults),
        dice.choice(("read", "read", "reload", "reload", "stop")),
        dice.randint(0, count),
    )


class ScheduleHarness:
    """Servers, and a provider that counts how often it is asked for each schedule."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.ports: list[int] = []
        self.asked: Counter[str] = Counter()
        self.reconnects = 0

    async def script(self, exchange: Exchange) -> None:
        prompt = exchange.json()["messages"][-1]["content"]
        self.asked[prompt] += 1
        schedule = schedule_of(self.seed, int(prompt.rpartition(" ")[2]))
        await exchange.start_stream()
        for piece, gap in zip(schedule.pieces, schedule.gaps, strict=True):
            await asyncio.sleep(gap)
            await exchange.send(chunk(piece))
        if not schedule.breaks_off:
            await exchange.send(chunk(finish="stop") + DONE)

    async def run(self, runtime: Runtime, number: int) -> list[str]:
        """Perform a schedule; what was wrong."""
        schedule = schedule_of(self.seed, number)
        async with running_fault_relay(*self.ports, faults=schedule.faults) as relay:
            task = Task(relay.url, schedule.prompt, keepalive=KEEPALIVE_SECONDS, action=schedule.action, at=schedule.at)
            try:
                seen = await runtime.observe(task)
            except TimeoutError:
                return [f"{schedule.prompt}: no ending"]
            self.reconnects += relay.accepted - 1
        return [f"{schedule.prompt}: {problem}" for problem in self._problems(schedule, seen)]

    def _problems(self, schedule: Schedule, seen: Seen) -> list[str]:
        problems = []
        text, asked = "".join(schedule.pieces), self.asked[schedule.prompt]
        stopped = schedule.action == "stop" and seen.ending == "cancelled"
        ending = "cancelled" if stopped else "upstream_disconnected" if schedule.breaks_off else "end"
        if seen.ending != ending:
            problems.append(f"ended with {seen.ending}, not {ending}")
        if asked != 1 and not (stopped and asked == 0):
            problems.append(f"{asked} generations")
        if not (text.startswith(seen.text) if stopped else text == seen.text):
            problems.append(f"lost or duplicated: {seen.text!r} of {text!r}")
        if seen.positions != list(range(len(seen.positions))):
            problems.append(f"positions {seen.positions}")
        if seen.types[:1] != ["start"] or seen.types.count("start") != 1:
            problems.append(f"types {seen.types}")
        if seen.types.count("done") != (ending == "end") or "done" in seen.types[:-1]:
            problems.append(f"{seen.types.count('done')} endings")
        if stopped and seen.stopped != "cancelled":
            problems.append(f"stop() returned {seen.stopped}")
        return problems

    async def run_all(self, runtime: Runtime, count: int) -> list[str]:
        """Perform the first ``count`` schedules, several at once; what was wrong."""
        numbers = iter(range(count))
        problems: list[str] = []

        async def work() -> None:
            for number in numbers:
                problems.extend(await self.run(runtime, number))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, count)):
                group.create_task(work())
        return problems


@asynccontextmanager
async def running_bench(
    folder: Path, *, seed: int, nodes: int = 1, redis: str | None = None, origin: str = "", script: Script | None = None
) -> AsyncIterator[ScheduleHarness]:
    """Run ``nodes`` servers, over the program ``redis`` if there are several; ``origin`` is that of a page.

    ``script`` is the provider, instead of the schedules' own.
    """
    bench = ScheduleHarness(seed)
    async with AsyncExitStack() as stack:
        upstream: Upstream = await stack.enter_async_context(running_upstream(script or bench.script))
        config: dict[str, Any] = openai_at(upstream) | {
            "server": {"keepalive_seconds": KEEPALIVE_SECONDS},
            "auth": {"cors_origins": [origin] if origin else []},
        }
        if redis is not None:
            store = await stack.enter_async_context(running_redis(redis, folder / "redis"))
            config["resume"] = {"store": store.url}
        for node in range(nodes):
            server = await stack.enter_async_context(running_server(folder / f"node{node}", config))
            bench.ports.append(server.port)
        yield bench


@asynccontextmanager
async def running_runtime(name: str, program: str | None, origin: str) -> AsyncIterator[Runtime]:
    """Run a runtime by its name; ``program`` is the path of what is no Python, ``origin`` that of the page."""
    async with AsyncExitStack() as stack:
        if name == "python":
            yield PythonRuntime()
        elif name in COMMANDS:
            assert program is not None
            yield await stack.enter_async_context(running_script(program))
        else:
            browser = await stack.enter_async_context(running_chromium(program))
            site = await stack.enter_async_context(running_site(int(origin.rpartition(":")[2])))
            yield await stack.enter_async_context(running_page(browser, site))


def new_origin() -> str:
    return f"http://127.0.0.1:{free_port()}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", choices=("python", *COMMANDS, "chromium"), default="node")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--nodes", type=int, default=1, help="more than one: over Redis")
    options = parser.parse_args()
    redis = found("redis-server") if options.nodes > 1 else None
    program = None if options.runtime == "python" else found(options.runtime)
    origin, began = new_origin(), time.monotonic()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_bench(Path(folder), seed=options.seed, nodes=options.nodes, redis=redis, origin=origin) as bench,
            running_runtime(options.runtime, program, origin) as runtime,
        ):
            problems = await bench.run_all(runtime, options.count)
    print(*problems, sep="\n")
    print(
        f"{options.runtime}, {options.nodes} node(s): {options.count} schedules, {bench.reconnects} reconnections, "
        f"{len(problems)} problems, {time.monotonic() - began:.0f} s"
    )
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    asyncio.run(main())
