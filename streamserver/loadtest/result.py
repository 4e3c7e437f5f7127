"""What a load test has seen until now, and what it amounts to."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from streamserver import __version__
from streamserver.config.secrets import without_secrets
from streamserver.loadtest.check import Check
from streamserver.loadtest.histogram import Histogram
from streamserver.loadtest.plan import Plan

MAX_EXAMPLES = 20
MAX_REFUSED_SHARE = 0.01
"""With more refusals than this a test says little of the streams."""
BUSY = 0.8
"""A client that works for more of its time than this measures itself."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of the test."""

    seconds: float
    """Since its start."""
    open_streams: int
    tokens_per_second: float
    cpu_percent: float | None
    memory_bytes: int | None


class ProcessUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The CPU time and memory of the server's processes."""

    processes: int
    cpu_seconds: float
    memory_start_bytes: int
    memory_peak_bytes: int


class LoadTestRun(msgspec.Struct, frozen=True):
    """The time, place and command of a load test."""

    date: str
    version: str
    machine: str
    command: str

    @classmethod
    def now(cls) -> LoadTestRun:
        """Return the facts of this process; passwords in addresses are left out."""
        return cls(
            date=datetime.now().astimezone().isoformat(timespec="seconds"),
            version=f"streamserver {__version__}, Python {platform.python_version()}",
            machine=f"{platform.platform()}, {os.cpu_count()} CPUs",
            command=str(without_secrets(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))),
        )


class LoadTestResult:
    """Counts, durations and samples of a load test; it grows while the test runs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.run = LoadTestRun.now()
        self.began = time.perf_counter()
        self.seconds = 0.0
        self.started = 0
        self.open = 0
        self.ended = 0
        self.tokens = 0
        self.cuts = 0
        self.lost = 0
        self.doubled = 0
        self.truncated = 0
        self.outcomes: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.broken_streams = 0
        self.ttft = Histogram()
        self.gaps = Histogram()
        self.samples: list[Sample] = []
        self.usage: ProcessUsage | None = None
        self.interrupted = False
        self.client_cpu_seconds = 0.0

    def start(self) -> None:
        self.started += 1
        self.open += 1

    def end(self, outcome: str, check: Check) -> None:
        """Count the findings of a stream's check at the stream's end."""
        self.open -= 1
        self.ended += 1
        self.outcomes[outcome] += 1
        self.lost += check.lost
        self.doubled += check.doubled
        if check.lost or check.doubled or check.broken:
            self.broken_streams += 1
        self.broken.update(set(check.broken))
        self.truncated += any(reason.startswith("truncated") for reason in check.broken)

    @property
    def kept(self) -> bool:
        """Every stream kept its promises, and there was one."""
        return not self.broken_streams and any(not outcome.startswith("no ") for outcome in self.outcomes)

    @property
    def refused_share(self) -> float:
        """The share of the streams that limits refused (429), or a server without room (503)."""
        refused = self.outcomes["no stream: 429"] + self.outcomes["no stream: 503"]
        return refused / max(self.ended, 1)

    @property
    def passed(self) -> bool:
        """Every stream kept its promises, and hardly any was refused."""
        return self.kept and self.refused_share <= MAX_REFUSED_SHARE

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if self.refused_share > MAX_REFUSED_SHARE:
            share = f"{self.refused_share:.0%} of the streams"
            return f"{share} were refused by limits (429, 503): raise the limits, or ask for less"
        return "every stream kept its promises" if self.kept else "promises were broken"

    @property
    def client_busy(self) -> float:
        """The share of the time for which this process had its one core to itself and worked."""
        return self.client_cpu_seconds / max(self.seconds, 1e-9)

    def summary(self) -> dict[str, Any]:
        """Return the whole result as JSON."""
        seconds = max(self.seconds, 1e-9)
        return {
            "plan": without_secrets(msgspec.to_builtins(self.plan)),
            "interrupted": self.interrupted,
            "kept_promises": self.kept,
            "passed": self.passed,
            "verdict": self.verdict,
            "refused_share": round(self.refused_share, 4),
            "run": msgspec.to_builtins(self.run),
            "seconds": round(self.seconds, 3),
            "streams": {
                "started": self.started,
                "by_outcome": dict(self.outcomes.most_common()),
                "truncated": self.truncated,
                "broken": self.broken_streams,
                "cuts_resumed": self.cuts,
            },
            "tokens": {"received": self.tokens, "lost": self.lost, "doubled": self.doubled},
            "broken_promises": dict(self.broken.most_common(MAX_EXAMPLES)),
            "ttft_ms": self.ttft.summary(),
            "gap_ms": self.gaps.summary(),
            "tokens_per_second": round(self.tokens / seconds, 1),
            "streams_per_second": round(self.ended / seconds, 2),
            "client": {"cpu_percent": round(self.client_busy * 100, 1), "bottleneck": self.client_busy > BUSY},
            "server": self._server(),
            "samples": [msgspec.to_builtins(sample) for sample in self.samples],
        }

    def _server(self) -> dict[str, Any] | None:
        usage = self.usage
        if usage is None:
            return None
        return {
            "processes": usage.processes,
            "cpu_seconds": round(usage.cpu_seconds, 3),
            "cpu_percent": round(usage.cpu_seconds / max(self.seconds, 1e-9) * 100, 1),
            "cpu_us_per_token": round(usage.cpu_seconds / self.tokens * 1e6, 2) if self.tokens else None,
            "memory_start_bytes": usage.memory_start_bytes,
            "memory_peak_bytes": usage.memory_peak_bytes,
        }
