"""The parts of prometheus_client that are not in its documentation.

Each call of ``inc`` and ``observe`` checks things that are known here, which takes longer than counting:
https://github.com/prometheus/client_python/blob/master/prometheus_client/metrics.py (``Counter.inc``,
``Histogram.observe``).

Processes that share their values must say so with an environment variable before prometheus_client is imported, which
is before the configuration is read: https://github.com/prometheus/client_python/blob/master/prometheus_client/values.py
(``get_value_class``).
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loguru import logger
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client import values as _values

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

values: Any = _values


def counting(metric: Counter | Gauge | Histogram) -> Callable[[float], object]:
    """Return the ``inc`` of a counter or a gauge, or the ``observe`` of a histogram, without its checks: ``metric`` has
    its labels, what is counted is a number that it can count, and one thread alone counts it."""
    if isinstance(metric, Histogram):
        return _observing(metric)
    value = getattr(metric, "_value", None)
    return metric.inc if value is None else _adding(value)


def _observing(histogram: Histogram) -> Callable[[float], object]:
    bounds, buckets, total = (getattr(histogram, name, None) for name in ("_upper_bounds", "_buckets", "_sum"))
    if bounds is None or buckets is None or total is None:
        return histogram.observe
    add_to_total, add_to_bucket = _adding(total), [_adding(bucket) for bucket in buckets]

    def observe(amount: float) -> None:
        add_to_total(amount)
        add_to_bucket[bisect_left(bounds, amount)](1)

    return observe


def _adding(value: Any) -> Callable[[float], object]:
    """Return ``value.inc``, without its lock if the value is in memory: it takes ten times as long as adding."""
    if type(value) is not getattr(values, "MutexValue", None) or not hasattr(value, "_value"):
        return value.inc  # type: ignore[no-any-return]

    def add(amount: float) -> None:
        value._value += amount

    return add


def share_between_processes(folder: Path) -> None:
    """Keep the values of all metrics in files in ``folder``, so that each process can answer for all.

    To be called before any metric is made, in each process or before they fork. With a prometheus_client that does not
    allow it so late, each process answers for itself alone.
    """
    if not (hasattr(values, "ValueClass") and hasattr(values, "MultiProcessValue")):
        logger.bind(event="misconfigured").warning(
            "each worker counts its metrics alone, because this version of prometheus_client is not supported; "
            f"set {FOLDER_VARIABLE} to an empty folder before the start"
        )
        return
    os.environ[FOLDER_VARIABLE] = str(folder)
    values.ValueClass = values.MultiProcessValue()
