"""Metrics that several workers share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WORKER = """
import sys, pathlib
from streamserver.telemetry import metrics
from streamserver.telemetry._prometheus_client import share_between_processes
share_between_processes(pathlib.Path(sys.argv[1]))
mine = metrics.Metrics()
mine.stream_opened()
mine.stream_opened()
mine.stream_closed()
mine.reader_resumed()
mine.refused("rate_limited", "tokens")
print("ready", flush=True)
sys.stdin.readline()
sys.stdout.write(mine.render().decode())
"""

BUSY = """
import asyncio, sys, pathlib
from streamserver.telemetry._prometheus_client import share_between_processes
share_between_processes(pathlib.Path(sys.argv[1]))
import aiohttp
from tests.support.application import running_app
from tests.support.client import get_events, stream_url

CONFIG = {
    "provider": {"default": "failing", "fallback": ["echo"]},
    "providers": {
        "failing": {"kind": "echo", "fail_after": 0, "fail_code": "upstream_unavailable"}, "echo": {"kind": "echo"}
    },
    "retry": {"attempts": 1},
}

async def main():
    async with running_app(CONFIG) as (core, url):
        async with aiohttp.ClientSession() as http:
            for _ in range(3):
                await get_events(http, stream_url(url))
        print(core.supervisor._retained.size_bytes, flush=True)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


def worker(folder: Path, script: str = WORKER) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_each_worker_renders_the_sum_without_the_gauges_of_dead_ones(tmp_path: Path) -> None:
    first, second, third = (worker(tmp_path) for _ in range(3))
    for process in (first, second, third):
        assert line_of(process) == "ready"
    third.kill()
    third.communicate()
    for process in (first, second):
        shown = process.communicate("\n", timeout=60)[0]
        lines = shown.splitlines()
        running = 2 if process is first else 1
        assert f"streamserver_active_streams {running}.0" in lines, "one stream of each living worker"
        assert "streamserver_resumed_total 3.0" in lines, "counters of a dead worker stay"
        assert 'streamserver_limit_hits_total{limit="tokens"} 3.0' in lines


def test_the_sum_has_the_gauges_of_workers_that_are_not_scraped(tmp_path: Path) -> None:
    busy, scraped = worker(tmp_path, BUSY), worker(tmp_path)
    kept = int(line_of(busy))
    assert kept > 0
    assert line_of(busy) == line_of(scraped) == "ready"
    lines = scraped.communicate("\n", timeout=60)[0].splitlines()
    busy.communicate("\n", timeout=60)
    assert f"streamserver_kept_log_bytes {kept}.0" in lines
    assert 'streamserver_provider_left_out{provider="failing"} 1.0' in lines
    assert 'streamserver_provider_left_out{provider="echo"} 0.0' in lines
