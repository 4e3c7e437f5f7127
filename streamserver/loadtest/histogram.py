"""Many durations in little memory."""

from __future__ import annotations

import math

_STEPS = 50
"""Buckets for each factor of e: a bucket is 2 % wide."""
_SMALLEST_MS = 0.001


class Histogram:
    """Durations in milliseconds, each known to 2 %; the memory does not grow with their number."""

    def __init__(self) -> None:
        self.count = 0
        self.max = 0.0
        self._buckets: dict[int, int] = {}

    def add(self, milliseconds: float, times: int = 1) -> None:
        """Count a duration, ``times`` over."""
        index = math.floor(math.log(max(milliseconds, _SMALLEST_MS)) * _STEPS)
        self._buckets[index] = self._buckets.get(index, 0) + times
        self.count += times
        self.max = max(self.max, milliseconds)

    def percentile(self, percent: float) -> float | None:
        """Return a percentile by nearest rank; None if there is nothing."""
        if not self.count:
            return None
        wanted = math.ceil(self.count * percent / 100)
        seen = 0
        for index in sorted(self._buckets):
            seen += self._buckets[index]
            if seen >= wanted:
                return min(math.exp((index + 0.5) / _STEPS), self.max)
        return self.max

    def summary(self) -> dict[str, float | None]:
        """Return the percentiles that a report gives."""
        figures = {name: self.percentile(percent) for name, percent in _PERCENTILES.items()}
        figures["max"] = self.max if self.count else None
        return {name: value if value is None else round(value, 3) for name, value in figures.items()}

    def bars(self, low: float, high: float, count: int) -> list[int]:
        """Return how many durations fall into each of ``count`` bars, equally wide on a logarithmic scale."""
        bars = [0] * count
        scale = count / math.log(high / low)
        for index, number in self._buckets.items():
            bar = math.floor(((index + 0.5) / _STEPS - math.log(low)) * scale)
            bars[min(max(bar, 0), count - 1)] += number
        return bars


_PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "p99_9": 99.9}
