"""The undocumented parts of prometheus_client, and their fallback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from loguru import logger

from streamserver.telemetry import _prometheus_client
from streamserver.telemetry._prometheus_client import FOLDER_VARIABLE, share_between_processes, values
from streamserver.telemetry.metrics import Metrics


@pytest.mark.parametrize("name", ["ValueClass", "MultiProcessValue"])
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
