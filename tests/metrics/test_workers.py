"""With several workers, whichever answers the scrape answers for all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WORKER = """
import sys, pathlib
from streamserver.telemetry import metrics
metrics.share_between_processes(pathlib.Path(sys.argv[1]))
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

ASKED = """
import asyncio, sys, pathlib
from streamserver.telemetry import metrics
metrics.share_between_processes(pathlib.Path(sys.argv[1]))
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
        print(core.supervisor.kept_bytes, flush=True)
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


def test_any_worker_shows_the_sum_and_a_dead_one_runs_nothing(tmp_path: Path) -> None:
    first, second, third = (worker(tmp_path) for _ in range(3))
    for process in (first, second, third):
        assert line_of(process) == "ready"
    third.kill()
    third.communicate()
    for process in (first, second):
        shown = process.communicate("\n", timeout=60)[0]
        lines = shown.splitlines()
        running = 2 if process is first else 1
        assert f"streamserver_active_streams {running}.0" in lines, "one stream each of those that live"
        assert "streamserver_resumed_total 3.0" in lines, "and what a dead one has counted stays counted"
        assert 'streamserver_limit_hits_total{limit="tokens"} 3.0' in lines


def test_a_worker_that_is_not_scraped_has_what_it_keeps_and_leaves_out_in_the_sum(tmp_path: Path) -> None:
    asked, scraped = worker(tmp_path, ASKED), worker(tmp_path)
    kept = int(line_of(asked))
    assert kept > 0
    assert line_of(asked) == line_of(scraped) == "ready"
    lines = scraped.communicate("\n", timeout=60)[0].splitlines()
    asked.communicate("\n", timeout=60)
    assert f"streamserver_kept_log_bytes {kept}.0" in lines
    assert 'streamserver_provider_left_out{provider="failing"} 1.0' in lines
    assert 'streamserver_provider_left_out{provider="echo"} 0.0' in lines
