"""What a load test has seen until now, and what it amounts to."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import msgspec

from streamserver.loadtest.check import Check
from streamserver.loadtest.histogram import Histogram
from streamserver.loadtest.plan import Plan

MAX_EXAMPLES = 20
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


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the server's processes took."""

    processes: int
    cpu_seconds: float
    memory_start_bytes: int
    memory_peak_bytes: int


class Result:
    """Counts, durations and samples of a load test; it grows while the test runs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
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
        self.usage: Usage | None = None
        self.interrupted = False
        self.client_cpu_seconds = 0.0

    def start(self) -> None:
        self.started += 1
        self.open += 1

    def end(self, outcome: str, check: Check) -> None:
        """A stream is over. What its check found is counted."""
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
    def client_busy(self) -> float:
        """The share of the time for which this process had its one core to itself and worked."""
        return self.client_cpu_seconds / max(self.seconds, 1e-9)

    def summary(self) -> dict[str, Any]:
        """Everything as JSON."""
        seconds = max(self.seconds, 1e-9)
        return {
            "plan": msgspec.to_builtins(self.plan),
            "interrupted": self.interrupted,
            "kept_promises": self.kept,
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
