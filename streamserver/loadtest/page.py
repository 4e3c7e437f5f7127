"""The report: one page that needs nothing else, with plots as inline SVG."""

from __future__ import annotations

import math
from html import escape

import msgspec

from streamserver.config.secrets import without_secrets
from streamserver.loadtest.histogram import Histogram
from streamserver.loadtest.plots import area_plot, bar_plot
from streamserver.loadtest.result import LoadTestResult
from streamserver.loadtest.terminal import milliseconds, rows_of

BARS = 48

_STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --ink: #1d1c1a; --soft: #6f6b64; --line: #e4e0d9; --card: #fff;
  --blue: #2f6fde; --green: #1f9d6b; --amber: #c97a12; --violet: #7a55d6; --red: #c8372d; }
@media (prefers-color-scheme: dark) { :root { --paper: #161615; --ink: #ecebe8; --soft: #9b978f; --line: #32312e;
  --card: #1e1e1c; --blue: #6ea1ff; --green: #4fcf9c; --amber: #eda94a; --violet: #ab8dff; --red: #ff7a70; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2.5rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 68rem; margin: auto; }
h1 { font-size: 1.5rem; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 0.95rem; margin: 0; }
p { margin: 0.25rem 0 0; color: var(--soft); }
.verdict { display: inline-block; margin-top: 1rem; padding: 0.2rem 0.7rem; border-radius: 1rem; font-weight: 600;
  border: 1px solid currentColor; color: var(--green); }
.verdict.broken { color: var(--red); }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 0.75rem; margin: 1.5rem 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 1fr)); gap: 0.75rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 0.6rem; padding: 0.9rem 1rem; }
.tile b { display: block; font-size: 1.45rem; font-weight: 600; line-height: 1.2; }
.tile span { color: var(--soft); font-size: 0.85rem; }
figure { margin: 0; }
figure p { font-size: 0.85rem; }
svg { display: block; width: 100%; height: auto; margin-top: 0.6rem; overflow: visible; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .mark { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 3 3; opacity: 0.55; }
svg .mark-label { fill: var(--ink); }
.bar { display: flex; height: 0.8rem; border-radius: 0.4rem; overflow: hidden; margin: 0.75rem 0 0.5rem; gap: 1px; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; color: var(--soft); font-size: 0.85rem; }
.legend i { display: inline-block; width: 0.65rem; height: 0.65rem; border-radius: 0.2rem; margin-right: 0.4rem; }
dl { columns: 2 22rem; column-gap: 2.5rem; margin: 0.6rem 0 0; }
dl div { display: flex; justify-content: space-between; gap: 1rem; padding: 0.25rem 0;
  border-top: 1px solid var(--line); break-inside: avoid; }
dt.part { padding-left: 1.2rem; color: var(--soft); }
dd { margin: 0; text-align: right; }
section { margin-top: 0.75rem; }
@media (max-width: 44rem) { body { padding: 1.5rem 1rem 3rem; } .tiles { grid-template-columns: repeat(2, 1fr); }
  svg text { font-size: 18px; } dl { columns: 1; } p, dd { overflow-wrap: anywhere; } }
"""

_COLOURS = ("var(--green)", "var(--blue)", "var(--violet)", "var(--amber)", "var(--red)", "var(--soft)")


def page_of(result: LoadTestResult) -> str:
    """Return the whole page."""
    verdict = escape(result.verdict)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Load test: {verdict}</title>
<style>{_STYLE}</style>
<main>
<h1>Load test</h1>
<p>{escape(_asked(result))}</p>
<div class="verdict{"" if result.passed else " broken"}">{"✓" if result.passed else "✗"} {verdict}</div>
{_broken(result)}
<div class="tiles">{"".join(_tile(name, value) for name, value in _tiles(result))}</div>
<div class="card">{_outcomes(result)}</div>
<section class="plots">{"".join(_plots(result))}</section>
<section class="card"><h2>All figures</h2>{_table(result)}</section>
<section class="card"><h2>The run</h2>{_run(result)}</section>
</main>
</html>
"""


def _run(result: LoadTestResult) -> str:
    facts = msgspec.structs.asdict(result.run)
    return "".join(f"<p>{escape(name)}: {escape(value)}</p>" for name, value in facts.items())


def _asked(result: LoadTestResult) -> str:
    plan = result.plan
    pace = f"{plan.rate:g} streams a second" if plan.rate else f"{plan.concurrency:,} streams at a time"
    parts = [
        without_secrets(plan.url) or "the built-in echo provider",
        pace,
        f"prompts of {plan.prompt_tokens:,} tokens",
    ]
    shares = {"cancelled": plan.cancel_rate, "cut and resumed": plan.resume_rate, "slow": plan.slow_readers}
    parts += [f"{share:.0%} {name}" for name, share in shares.items() if share]
    if result.interrupted:
        parts.append("interrupted")
    return " · ".join(parts)


def _broken(result: LoadTestResult) -> str:
    items = "".join(f"<li>{count:,} × {escape(reason)}</li>" for reason, count in result.broken.most_common(20))
    return f"<ul>{items}</ul>" if items else ""


def _tiles(result: LoadTestResult) -> list[tuple[str, str]]:
    summary = result.summary()
    tiles = [
        ("streams", f"{result.started:,}"),
        ("tokens", f"{result.tokens:,}"),
        ("lost or doubled", f"{result.lost + result.doubled:,}"),
        ("truncated", f"{result.truncated:,}"),
        ("tokens a second", f"{summary['tokens_per_second']:,.0f}"),
        ("TTFT p50", milliseconds(result.ttft.percentile(50))),
        ("gap p99", milliseconds(result.gaps.percentile(99))),
    ]
    if server := summary["server"]:
        tiles.append(("CPU a token", f"{server['cpu_us_per_token'] or math.nan:,.1f} µs"))
    return tiles


def _tile(name: str, value: str) -> str:
    return f'<div class="card tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'


def _outcomes(result: LoadTestResult) -> str:
    """Return one bar of all streams, by how they ended."""
    counts = result.outcomes.most_common()
    coloured = [(name, count, _COLOURS[min(place, len(_COLOURS) - 1)]) for place, (name, count) in enumerate(counts)]
    bar = "".join(f'<div style="flex:{count};background:{colour}"></div>' for _, count, colour in coloured)
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)} {count:,}</span>' for name, count, colour in coloured
    )
    return f'<h2>How the streams ended</h2><div class="bar">{bar}</div><div class="legend">{legend}</div>'


def _plots(result: LoadTestResult) -> list[str]:
    seconds = [sample.seconds for sample in result.samples]
    tokens = [sample.tokens_per_second for sample in result.samples]
    open_streams = [float(sample.open_streams) for sample in result.samples]
    return [
        _figure("Time to first token", _summary(result.ttft), _distribution(result.ttft, "var(--blue)")),
        _figure("Between tokens", _summary(result.gaps), _distribution(result.gaps, "var(--violet)")),
        _figure("Throughput", "tokens a second, over time", area_plot(seconds, tokens, "var(--green)")),
        _figure("Open streams", "over time", area_plot(seconds, open_streams, "var(--amber)")),
    ]


def _summary(histogram: Histogram) -> str:
    parts = [f"p{percent} {milliseconds(histogram.percentile(percent))}" for percent in (50, 90, 99)]
    return " · ".join([*parts, f"max {milliseconds(histogram.max if histogram.count else None)}"])


def _distribution(histogram: Histogram, colour: str) -> str:
    """Return bars on a logarithmic scale around what was measured, with the percentiles marked."""
    if not histogram.count:
        return bar_plot([], 1, 10, {}, colour)
    low = 0.1 if (histogram.percentile(1) or 0.0) < 1 else 1.0
    high = max(low * 10, 10 ** math.ceil(math.log10(max(histogram.max, 1.0))))
    marks = {f"p{percent}": histogram.percentile(percent) or low for percent in (50, 99)}
    return bar_plot(histogram.bars(low, high, BARS), low, high, marks, colour)


def _figure(title: str, summary: str, plot: str) -> str:
    return f'<figure class="card"><h2>{escape(title)}</h2><p>{escape(summary)}</p>{plot}</figure>'


def _table(result: LoadTestResult) -> str:
    def row(name: str, value: str) -> str:
        part = ' class="part"' if name.startswith(" ") else ""
        return f"<div><dt{part}>{escape(name.strip())}</dt><dd>{escape(value)}</dd></div>"

    return f"<dl>{''.join(row(name, value) for name, value in rows_of(result))}</dl>"
