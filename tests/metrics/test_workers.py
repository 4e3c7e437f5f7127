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


def worker(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_any_worker_shows_the_sum_and_a_dead_one_runs_nothing(tmp_path: Path) -> None:
    first, second, third = (worker(tmp_path) for _ in range(3))
    third.kill()
    third.communicate()
    for process in (first, second):
        shown = process.communicate("\n", timeout=60)[0]
        lines = shown.splitlines()
        running = 2 if process is first else 1
        assert f"streamserver_active_streams {running}.0" in lines, "one stream each of those that live"
        assert "streamserver_resumed_total 3.0" in lines, "and what a dead one has counted stays counted"
        assert 'streamserver_limit_hits_total{limit="tokens"} 3.0' in lines
