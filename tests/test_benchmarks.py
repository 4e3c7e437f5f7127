"""Runs of the benchmarks, without a judgement of what they measure."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.start import STARTS
from tests.support.commands import output_of

ROOT = Path(__file__).parent.parent
HANGING_SECONDS = 400
PROXIED = {"short": "ms/request", "chat-light": "µs/token"}
"""Lines that are measured for other proxies too, each with a figure."""


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(("flooded", "half", "memory"), id="beside the yardstick"),
        pytest.param(("--no-naive", "gone", "open1000", "code", "growth", "pile", "stalled"), id="alone"),
        pytest.param(
            ("--no-naive", "chat-flooded", "messages-flooded", "responses-flooded", "ui-flooded"), id="wire by wire"
        ),
    ],
)
async def test_a_moment_of_each_benchmark_gives_figures(lines: tuple[str, ...]) -> None:
    await run_lines(*lines)


async def test_a_moment_of_each_benchmark_over_redis_gives_figures(find_program: Callable[[str], str]) -> None:
    find_program("redis-server")
    await run_lines("--no-naive", "redis-light", "workers-light", "elsewhere-light")


async def test_a_moment_beside_another_proxy_gives_figures(find_program: Callable[[str], str]) -> None:
    find_program("nginx")
    targets = await run_lines("--no-naive", "--proxy=nginx=benchmarks/proxies/nginx.sh", "short", "chat-light")
    assert all(isinstance(targets[line]["nginx"][figure], float) for line, figure in PROXIED.items())


async def test_a_moment_of_each_part_of_growth_gives_figures(find_program: Callable[[str], str]) -> None:
    find_program("redis-server")
    out = await run("benchmarks.growth", "--quick", "open", "readers", "nodes", "kept")
    assert re.findall("^[0-9,]+ (.*?):", out, re.MULTILINE) == [
        "streams opened over memory",
        "streams opened over Redis",
        *["readers elsewhere"] * 2,
        "nodes, idle",
        "nodes, the first reads of each",
        "nodes, a look-up",
        *[
            "kept streams",
            "kept streams, heartbeats",
            "kept streams, a look-up here",
            "kept streams, a look-up elsewhere",
        ]
        * 3,
    ]
    assert "nan" not in out


async def test_a_moment_of_starts_gives_figures() -> None:
    out = await run("benchmarks.start", "--rounds", "1")
    figures = re.findall(r"^(.*): ([0-9.]+) s of CPU, ([0-9.]+) times the imports$", out, re.MULTILINE)
    assert [name for name, *_ in figures] == list(STARTS)
    assert all(float(seconds) > 0 for _, seconds, _ in figures)


async def run_lines(*lines: str) -> dict[str, dict[str, dict[str, float]]]:
    """Run ``python -m benchmarks`` for these lines, and check that each has figures. Return them by line and target."""
    out = await run("benchmarks", "--quick", "--rounds", "1", "--json", *lines)
    medians: dict[str, dict[str, dict[str, float]]] = json.loads(out)["medians"]
    assert medians.keys() == {line for line in lines if not line.startswith("--")}
    for line, targets in medians.items():
        figures = targets["ours"]
        # In quick answers, all tokens may come in one read.
        assert all(math.isfinite(value) for name, value in figures.items() if "gap" not in name), (line, figures)
    return medians


async def run(*arguments: str) -> str:
    """Return what ``python -m …`` prints."""
    return await output_of(sys.executable, "-m", *arguments, cwd=ROOT, seconds=HANGING_SECONDS)
