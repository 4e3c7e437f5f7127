"""A provider that keeps its connection is no connection closed."""

from __future__ import annotations

from streamserver.telemetry.metrics import Metrics
from tests.telemetry.test_logs import CANCELLED, outcome


def test_only_a_connection_that_was_closed_is_in_cancel_seconds() -> None:
    metrics = Metrics()
    metrics.stream_ended(outcome(CANCELLED, stuck=True))
    lines = metrics.render().decode().splitlines()
    assert "streamserver_cancel_seconds_count 0.0" in lines
    assert 'streamserver_provider_stuck_total{provider="other"} 1.0' in lines
    metrics.stream_ended(outcome(CANCELLED, stop_ms=2.0))
    lines = metrics.render().decode().splitlines()
    assert "streamserver_cancel_seconds_count 1.0" in lines
    assert 'streamserver_provider_stuck_total{provider="other"} 1.0' in lines
