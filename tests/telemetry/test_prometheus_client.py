"""The undocumented parts of prometheus_client, and their fallback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from streamserver.telemetry import _prometheus_client
from streamserver.telemetry._prometheus_client import FOLDER_VARIABLE, counting, share_between_processes, values
from streamserver.telemetry.metrics import Metrics


@pytest.mark.parametrize("name", ["MultiProcessValue", "MutexValue", "ValueClass"])
def test_prometheus_client_has_the_undocumented_parts(name: str) -> None:
    assert hasattr(values, name), f"prometheus_client.values.{name} is gone"


def test_processes_count_alone_when_the_undocumented_parts_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Values:
        """A module with nothing that is used."""

    monkeypatch.setattr(_prometheus_client, "values", Values)
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    warnings: list[str] = []
    sink = logger.add(lambda message: warnings.append(message.record["message"]), level="WARNING")
    try:
        share_between_processes(tmp_path)
    finally:
        logger.remove(sink)
    assert len(warnings) == 1 and FOLDER_VARIABLE in warnings[0]
    assert FOLDER_VARIABLE not in os.environ
    metrics = Metrics()
    metrics.reader_resumed()
    assert b"streamserver_resumed_total 1.0" in metrics.render()


def test_a_value_in_memory_is_counted_without_its_lock() -> None:
    counter = Counter("n", "help", registry=CollectorRegistry())
    value: Any = counter._value
    with value._lock:  # one more acquisition would wait for ever
        counting(counter)(2)
    assert value.get() == 2


BOUNDS = (0.5, 1.0, 2.0)
AMOUNTS = (0.0, 0.5, 0.7, 1.0, 2.0, 2.1, 1e9)


@pytest.mark.parametrize("kind", [Counter, Gauge, Histogram])
def test_counting_without_checks_is_what_prometheus_client_counts(kind: type[Counter | Gauge | Histogram]) -> None:
    checked, unchecked = CollectorRegistry(), CollectorRegistry()
    options: dict[str, Any] = {"buckets": BOUNDS} if kind is Histogram else {}
    theirs, ours = (kind("n", "help", registry=registry, **options) for registry in (checked, unchecked))
    plain = theirs.observe if isinstance(theirs, Histogram) else theirs.inc
    count = counting(ours)
    assert count != (ours.observe if isinstance(ours, Histogram) else ours.inc), "prometheus_client has changed"
    for amount in AMOUNTS:
        plain(amount)
        count(amount)
    assert without_times(checked) == without_times(unchecked)


@pytest.mark.parametrize("missing", ["_value", "_upper_bounds", "_buckets", "_sum"])
def test_counting_checks_when_the_undocumented_parts_are_missing(missing: str) -> None:
    metric = Counter("n", "help", registry=None) if missing == "_value" else Histogram("n", "help", registry=None)
    plain = metric.observe if isinstance(metric, Histogram) else metric.inc
    delattr(metric, missing)
    assert counting(metric) == plain


def without_times(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
