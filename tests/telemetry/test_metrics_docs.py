"""The documentation of the metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path

from streamserver.telemetry.metrics import METRICS

DOCS = Path(__file__).parents[2] / "docs"


def test_docs_have_the_table_of_the_code() -> None:
    text = (DOCS / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(streamserver_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    assert rows == [
        (metric.full_name, metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in METRICS
    ]


def test_dashboard_queries_every_metric_and_no_other() -> None:
    dashboard = json.loads((DOCS / "grafana.json").read_text("utf-8"))
    queries = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ()))
    names = set(re.findall(r"streamserver_\w+", queries))
    suffixes = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    existing = {metric.full_name + suffix for metric in METRICS for suffix in suffixes[metric.kind]}
    assert names <= existing
    for metric in METRICS:
        assert any(name.startswith(metric.full_name) for name in names), f"{metric.full_name} is on no panel"


def test_dashboard_sums_over_nodes() -> None:
    dashboard = json.loads((DOCS / "grafana.json").read_text("utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert [query for query in queries if not re.match(r"(histogram_quantile\([0-9.]+, )?sum\b", query)] == []
