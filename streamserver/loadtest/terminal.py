"""A load test in the terminal: live figures while it runs, a table at its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from streamserver.loadtest.plan import Plan
from streamserver.loadtest.result import LoadTestResult


@contextmanager
def live(plan: Plan, console: Console) -> Iterator[Callable[[LoadTestResult], None]]:
    """Show a progress bar while the block runs; the yielded function moves it."""
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=1.0)

        def show(result: LoadTestResult) -> None:
            progress.update(task, completed=_share(plan, result), description=_figures(result))

        yield show


def _share(plan: Plan, result: LoadTestResult) -> float:
    """Return how much of the test is done: of its streams, or of its time, whichever is further."""
    seconds = result.samples[-1].seconds
    by_time = seconds / plan.duration if plan.duration else 0.0
    by_count = result.ended / plan.streams if plan.streams else 0.0
    return min(1.0, max(by_time, by_count))


def _figures(result: LoadTestResult) -> str:
    sample = result.samples[-1]
    parts = [
        f"{sample.open_streams:,} open",
        f"{result.ended:,} ended",
        f"{sample.tokens_per_second:,.0f} tokens/s",
        f"TTFT p50 {milliseconds(result.ttft.percentile(50))}",
        f"gap p99 {milliseconds(result.gaps.percentile(99))}",
    ]
    if sample.cpu_percent is not None:
        parts.append(f"CPU {sample.cpu_percent:.0f} %")
    wrong = result.lost + result.doubled + result.truncated
    parts.append(f"[bold red]{result.broken_streams} broken[/]" if wrong or result.broken_streams else "none broken")
    return " · ".join(parts)


def table_of(result: LoadTestResult) -> Table:
    """Return what the test amounts to."""
    table = Table(show_header=False, title="streamserver load", title_justify="left", min_width=60)
    table.add_column(style="bold")
    table.add_column(justify="right")
    run = result.run
    for name, value in (*rows_of(result), ("run", f"{run.date}, {run.version}"), ("machine", run.machine)):
        table.add_row(name, value)
    table.caption = f"[bold {'green' if result.passed else 'red'}]{result.verdict}[/]"
    for reason, count in result.broken.most_common(10):
        table.caption += f"\n[red]{count:,} × {reason}[/]"
    return table


def rows_of(result: LoadTestResult) -> list[tuple[str, str]]:
    """Return the names and figures of the result."""
    summary = result.summary()
    rows = [("streams started", f"{result.started:,}")]
    rows += [(f"  {outcome}", f"{count:,}") for outcome, count in result.outcomes.most_common()]
    rows += [
        ("truncated", f"{result.truncated:,}"),
        ("tokens received", f"{result.tokens:,}"),
        ("tokens lost, doubled", f"{result.lost:,}, {result.doubled:,}"),
        ("connections cut and resumed", f"{result.cuts:,}"),
        ("TTFT p50, p90, p99, max", percentiles(summary["ttft_ms"])),
        ("gap p50, p90, p99, max", percentiles(summary["gap_ms"])),
        ("tokens a second", f"{summary['tokens_per_second']:,.0f}"),
        ("streams a second", f"{summary['streams_per_second']:,.1f}"),
        ("duration", f"{result.seconds:,.1f} s{', interrupted' if result.interrupted else ''}"),
    ]
    if server := summary["server"]:
        rows += [
            ("server CPU", f"{server['cpu_percent']:,.0f} %, {server['cpu_us_per_token'] or math.nan:,.1f} µs a token"),
            ("server memory, at most", f"{server['memory_peak_bytes'] / 2**20:,.0f} MiB"),
        ]
    warning = ": too much, the times are its own" if summary["client"]["bottleneck"] else ""
    rows.append(("CPU of this client", f"{summary['client']['cpu_percent']:,.0f} %{warning}"))
    return rows


def percentiles(figures: dict[str, float | None]) -> str:
    return ", ".join(milliseconds(figures[name]) for name in ("p50", "p90", "p99", "max"))


def milliseconds(value: float | None) -> str:
    """Return a duration for people."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value / 1000:,.2f} s"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"
