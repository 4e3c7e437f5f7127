"""Prometheus metrics, made from one table that the documentation is tested against."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from providers.catalog import Catalog
from providers.resilience import Breaker
from streamserver.core.generation import Outcome
from streamserver.core.refusals import LIMITS, LimitName
from streamserver.log.records import Done
from streamserver.telemetry._prometheus_client import FOLDER_VARIABLE, counting

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
"""The label for names that a request or a provider made up, so that the set of labels is bounded."""

_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 13, 20, 30, 60)
_GAPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5)
_DURATIONS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)
_CANCELS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1)


class Metric(msgspec.Struct, frozen=True):
    """A row of the table. ``name`` has no prefix, and no ``_total`` for a counter."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """The name in Prometheus."""
        return f"streamserver_{self.name}{'_total' if self.kind == 'counter' else ''}"


METRICS = (
    Metric(
        "counter",
        "streams",
        "Streams that ended. outcome: done, cancelled or failed; code: the finish reason, or the error's code; "
        "wire: the protocol of the request.",
        ("provider", "model", "outcome", "code", "wire"),
    ),
    Metric("gauge", "active_streams", "Streams that are running."),
    Metric("histogram", "ttft_seconds", "From a stream's start to its first token.", ("provider", "model"), _WAITS),
    Metric(
        "histogram",
        "inter_token_seconds",
        "The mean time between the tokens of a stream that was done.",
        ("provider", "model"),
        _GAPS,
    ),
    Metric("histogram", "duration_seconds", "From a stream's start to its end.", ("provider", "outcome"), _DURATIONS),
    Metric(
        "counter",
        "tokens",
        "Tokens used. type: prompt or completion; source: provider, or estimate where it did not say.",
        ("provider", "model", "type", "source"),
    ),
    Metric(
        "histogram",
        "cancel_seconds",
        "From the last reader's leaving (its grace over), or a stop, to the provider's connection closed.",
        (),
        _CANCELS,
    ),
    Metric("counter", "resumed", "Readers that came back with a position."),
    Metric("counter", "dropped_readers", "Readers cut off because they took nothing for send_timeout_seconds."),
    Metric(
        "counter",
        "limit_hits",
        f"Requests refused for a limit. limit: {', '.join(LIMITS)}.",
        ("limit",),
    ),
    Metric("counter", "refusals", "Requests refused before a stream, by the problem's code.", ("code",)),
    Metric("counter", "provider_attempts", "Requests to providers, retries and fallbacks included.", ("provider",)),
    Metric("counter", "provider_failures", "Requests to providers that failed, by code.", ("provider", "code")),
    Metric(
        "gauge",
        "provider_left_out",
        "Processes that leave a provider out for a while, because it failed again and again.",
        ("provider",),
    ),
    Metric(
        "counter",
        "provider_stuck",
        "Streams that were stopped and ended without their provider: it did not let go of its connection in a second.",
        ("provider",),
    ),
    Metric("counter", "log_bytes", "Bytes written into streams' logs: text, and 64 a record."),
    Metric("counter", "dropped_log_records", "Log records that were dropped, because the output took none."),
    Metric("gauge", "kept_log_bytes", "Bytes of ended streams that are kept to be read again."),
)

_REASON_LABELS = frozenset({"stop", "length", "tool_calls", "content_filter"})


class _Labelled:
    """A labelled metric that finds its children by their labels. prometheus_client checks labels under a lock, which
    takes as long as counting does: https://github.com/prometheus/client_python/blob/master/prometheus_client/metrics.py
    (``MetricWrapperBase.labels``). No child is ever removed."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], Callable[[float], object]] = {}

    def count(self, amount: float, *labels: str) -> None:
        """Add ``amount`` to a counter or a gauge, or observe it in a histogram."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = counting(self._metric.labels(*labels))
        child(amount)


class Metrics:
    """The metrics of one application, in a registry of their own. ``refusals`` are all codes of refusals."""

    def __init__(self, refusals: Iterable[str] = ()) -> None:
        self._registry = CollectorRegistry()
        self._shared = os.environ.get(FOLDER_VARIABLE)
        if not self._shared:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)
        made = {metric.name: _make(metric, self._registry) for metric in METRICS}
        self._streams = _Labelled(made["streams"])
        self._ttft = _Labelled(made["ttft_seconds"])
        self._gap = _Labelled(made["inter_token_seconds"])
        self._duration = _Labelled(made["duration_seconds"])
        self._tokens = _Labelled(made["tokens"])
        self._limit_hits = _Labelled(made["limit_hits"])
        self._refusals = _Labelled(made["refusals"])
        self._attempts = _Labelled(made["provider_attempts"])
        self._failures = _Labelled(made["provider_failures"])
        self._stuck = _Labelled(made["provider_stuck"])
        self._count_cancel = counting(made["cancel_seconds"])
        self._count_log_bytes = counting(made["log_bytes"])
        self._count_active = counting(made["active_streams"])
        self._left_out = made["provider_left_out"]
        self.keep = made["kept_log_bytes"].set
        """Set how many bytes of ended streams are kept."""
        self.reader_resumed = made["resumed"].inc
        self.reader_dropped = made["dropped_readers"].inc
        self.log_record_dropped = made["dropped_log_records"].inc
        for limit in LIMITS:
            self._limit_hits.count(0, limit)  # a rate needs a zero to begin from
        for code in refusals:
            self._refusals.count(0, code)
        self._models: dict[str, frozenset[str]] = {}
        self._breakers: list[Breaker] = []

    def track(self, catalog: Catalog) -> None:
        """Use the names of these providers and models as labels, besides those tracked before. The open breakers are
        those of these providers alone."""
        for breaker in self._breakers:
            breaker.watch(None)
        for name in self._models:
            self._left_out.labels(name).set(0)
        self._breakers = [each.breaker for each in catalog]
        for each in catalog:
            known = self._models.get(each.name, frozenset())
            self._models[each.name] = known | {each.model, *each.models}
            each.breaker.watch(self._left_out.labels(each.name).set)
            self._stuck.count(0, each.name)  # a rate needs a zero to begin from

    def stream_opened(self) -> None:
        """Count a running stream, until :meth:`stream_closed`."""
        self._count_active(1)

    def stream_closed(self) -> None:
        self._count_active(-1)

    def refused(self, code: str, limit: LimitName | None) -> None:
        """Count a refused request."""
        self._refusals.count(1, code)
        if limit is not None:
            self._limit_hits.count(1, limit)

    def stream_ended(self, outcome: Outcome) -> None:
        """Count everything about a stream that has ended."""
        provider, model = self._labels(outcome)
        kind, code = _ending(outcome)
        self._streams.count(1, provider, model, kind, code, outcome.wire)
        self._duration.count(outcome.duration_ms / 1000, provider, kind)
        self._count_log_bytes(outcome.log_bytes)
        if outcome.ttft_ms is not None:
            self._ttft.count(outcome.ttft_ms / 1000, provider, model)
            if kind == "done" and outcome.pieces > 1:
                gap = (outcome.duration_ms - outcome.ttft_ms) / (outcome.pieces - 1)
                self._gap.count(gap / 1000, provider, model)
        if outcome.stop_ms is not None:
            self._count_cancel(outcome.stop_ms / 1000)
        if outcome.stuck:
            self._stuck.count(1, provider)
        if outcome.usage is not None:
            source = "estimate" if outcome.usage.estimated else "provider"
            self._tokens.count(outcome.usage.prompt_tokens, provider, model, "prompt", source)
            self._tokens.count(outcome.usage.completion_tokens, provider, model, "completion", source)
        for tried in outcome.attempts:
            asked = tried.provider if tried.provider in self._models else OTHER
            self._attempts.count(1, asked)
            if tried.code is not None:
                self._failures.count(1, asked, tried.code)

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format, those of all workers if the workers share."""
        if not self._shared:
            return generate_latest(self._registry)
        _drop_dead_workers(Path(self._shared))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _labels(self, outcome: Outcome) -> tuple[str, str]:
        models = self._models.get(outcome.provider)
        if models is None:
            return OTHER, OTHER
        return outcome.provider, outcome.asked_model if outcome.asked_model in models else OTHER


def _make(metric: Metric, registry: CollectorRegistry) -> Any:
    name = f"streamserver_{metric.name}"
    match metric.kind:
        case "counter":
            return Counter(name, metric.help, metric.labels, registry=registry)
        case "gauge":
            return Gauge(name, metric.help, metric.labels, registry=registry, multiprocess_mode="livesum")
        case "histogram":
            return Histogram(name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)


def _ending(outcome: Outcome) -> tuple[str, str]:
    terminal = outcome.terminal
    if isinstance(terminal, Done):
        return "done", terminal.finish_reason if terminal.finish_reason in _REASON_LABELS else OTHER
    return "cancelled" if terminal.code == "cancelled" else "failed", terminal.code


def _drop_dead_workers(folder: Path) -> None:
    """Drop the gauges of workers that have died."""
    for pid in {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*_*.db")}:
        if pid.isdigit() and not _is_alive(int(pid)):
            mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
