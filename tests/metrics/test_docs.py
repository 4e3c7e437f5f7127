"""The documentation's table of metrics is the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path

from streamserver.telemetry.metrics import METRICS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_in_the_docs_is_the_one_in_the_code() -> None:
    text = (DOCS / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(streamserver_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    assert rows == [
        (metric.full_name, metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in METRICS
    ]


def test_the_dashboard_asks_only_for_what_there_is_and_for_all_of_it() -> None:
    dashboard = json.loads((DOCS / "grafana.json").read_text("utf-8"))
    asked = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ()))
    names = set(re.findall(r"streamserver_\w+", asked))
    suffixes = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    there = {metric.full_name + suffix for metric in METRICS for suffix in suffixes[metric.kind]}
    assert names <= there
    for metric in METRICS:
        assert any(name.startswith(metric.full_name) for name in names), f"{metric.full_name} is on no panel"


def test_the_dashboard_adds_nodes_up() -> None:
    dashboard = json.loads((DOCS / "grafana.json").read_text("utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert [query for query in asked if not re.match(r"(histogram_quantile\([0-9.]+, )?sum\b", query)] == []
