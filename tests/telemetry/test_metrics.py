"""The metrics of a stream that has ended."""

from __future__ import annotations

from streamserver.telemetry.metrics import Metrics
from tests.telemetry.test_logs import CANCELLED, DONE, outcome


def test_cancel_seconds_are_observed_only_when_the_connection_was_closed() -> None:
    metrics = Metrics()
    metrics.stream_ended(outcome(CANCELLED, stuck=True))
    lines = metrics.render().decode().splitlines()
    assert "streamserver_cancel_seconds_count 0.0" in lines
    assert 'streamserver_provider_stuck_total{provider="other"} 1.0' in lines
    metrics.stream_ended(outcome(CANCELLED, stop_ms=2.0))
    lines = metrics.render().decode().splitlines()
    assert "streamserver_cancel_seconds_count 1.0" in lines
    assert 'streamserver_provider_stuck_total{provider="other"} 1.0' in lines


def test_streams_are_counted_by_wire() -> None:
    metrics = Metrics()
    for wire in ("native", "chat", "chat"):
        metrics.stream_ended(outcome(DONE, wire=wire))
    lines = metrics.render().decode().splitlines()
    for wire, count in (("native", 1), ("chat", 2)):
        labels = f'code="stop",model="other",outcome="done",provider="other",wire="{wire}"'
        assert f"streamserver_streams_total{{{labels}}} {count}.0" in lines
