"""Plots as SVG text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

WIDTH, HEIGHT = 480.0, 170.0
RIGHT = 16.0
LEFT, BOTTOM, TOP = 44.0, 20.0, 16.0
MAX_POINTS = 400


def bar_plot(bars: Sequence[int], low: float, high: float, marks: Mapping[str, float], colour: str) -> str:
    """Return bars between ``low`` and ``high`` milliseconds on a logarithmic scale; ``marks`` are labelled values."""
    most = max(bars, default=0) or 1
    width = (WIDTH - RIGHT - LEFT) / max(len(bars), 1)
    scale = _log_scale(low, high)
    parts = []
    for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
        x = scale(10**power)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 5}" text-anchor="middle">{_duration(10**power)}</text>')
    for number, count in enumerate(bars):
        if count:
            # So that one of a million is still to be seen.
            height = max(1.5, (HEIGHT - BOTTOM - TOP) * count / most)
            x, y = LEFT + number * width, HEIGHT - BOTTOM - height
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{height:.1f}" fill="{colour}"/>'
            )
    for place, (name, value) in enumerate(marks.items()):
        x = scale(value)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        anchor = "end" if place == 0 else "start"
        parts.append(f'<text class="mark-label" x="{x:.1f}" y="{TOP - 4}" text-anchor="{anchor}">{name}</text>')
    return _svg(parts)


def area_plot(xs: Sequence[float], ys: Sequence[float], colour: str) -> str:
    """Return ``ys`` over ``xs`` (seconds from 0) as a filled line."""
    xs, ys = _thin(xs), _thin(ys)
    top = _round_up(max(ys, default=0.0))
    end = max(xs, default=0.0) or 1.0
    parts = []
    for share in (0, 0.5, 1):
        y = _height(share)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(top * share)}</text>')
    for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end")):
        x = LEFT + share * (WIDTH - RIGHT - LEFT)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 5}" text-anchor="{anchor}">{end * share:.3g} s</text>')
    points = [
        f"{LEFT + x / end * (WIDTH - RIGHT - LEFT):.1f},{_height(y / top):.1f}" for x, y in zip(xs, ys, strict=True)
    ]
    if points:
        first, last = points[0].partition(",")[0], points[-1].partition(",")[0]
        line = " ".join(points)
        area = f"{first},{HEIGHT - BOTTOM} {line} {last},{HEIGHT - BOTTOM}"
        parts.append(f'<polygon points="{area}" fill="{colour}" opacity="0.18"/>')
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        )
    return _svg(parts)


def _svg(parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img">{"".join(parts)}</svg>'


def _log_scale(low: float, high: float) -> Callable[[float], float]:
    def scale(value: float) -> float:
        share = math.log(value / low) / math.log(high / low)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - RIGHT - LEFT)

    return scale


def _height(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _thin(values: Sequence[float]) -> Sequence[float]:
    """Return at most ``MAX_POINTS`` of them, evenly."""
    return values[:: math.ceil(len(values) / MAX_POINTS) or 1]


def _round_up(value: float) -> float:
    """Return the next number of one digit: a scale that people can read."""
    if value <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return float(math.ceil(value / power) * power)


def _short(value: float) -> str:
    return f"{value / 1000:.3g}k" if value >= 1000 else f"{value:.3g}"


def _duration(milliseconds: float) -> str:
    return f"{milliseconds / 1000:g} s" if milliseconds >= 1000 else f"{milliseconds:g} ms"
