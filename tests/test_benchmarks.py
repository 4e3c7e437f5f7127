"""The benchmarks work. What they measure is nobody's test."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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


async def run_lines(*lines: str) -> None:
    """Run ``python -m benchmarks`` for these lines, and check that each has figures."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks", "--quick", "--rounds", "1", "--json", *lines),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), 120)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    medians = json.loads(out)["medians"]
    assert medians.keys() == {line for line in lines if not line.startswith("--")}
    for line, targets in medians.items():
        figures = targets["ours"]
        # In quick answers, all tokens may come in one read.
        assert all(math.isfinite(value) for name, value in figures.items() if "gap" not in name), (line, figures)
