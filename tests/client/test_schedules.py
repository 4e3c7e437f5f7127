"""Random faults: nothing lost, nothing duplicated, one generation, one ending."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client.runtimes import Runtime
from tests.client.schedules import running_bench

COUNT = 50
SEED = 7
"""Of the same faults in each run: ``python -m tests.client.schedules --count 500`` takes others each time."""


@pytest.mark.parametrize(("runtime", "nodes"), [("python", 1), ("node", 2), ("chromium", 1)], indirect=["runtime"])
async def test_an_answer_arrives_once_under_random_faults(
    runtime: Runtime, nodes: int, origin: str, tmp_path: Path, find_program: Callable[[str], str]
) -> None:
    redis = find_program("redis-server") if nodes > 1 else None
    async with running_bench(tmp_path, seed=SEED, nodes=nodes, redis=redis, origin=origin) as bench:
        assert await bench.run_all(runtime, COUNT) == []
        assert bench.reconnects > 10, "the connections were broken"
