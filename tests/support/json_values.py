"""Copies of JSON values with one place changed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

REMOVED = object()


def replaced(value: Any, path: Sequence[str | int], other: Any) -> Any:
    """Return a copy of ``value`` with ``other`` at ``path``, or with nothing there for :data:`REMOVED`."""
    result = copy.deepcopy(value)
    parent = result
    for step in path[:-1]:
        parent = parent[step]
    if other is REMOVED:
        del parent[path[-1]]
    else:
        parent[path[-1]] = copy.deepcopy(other)
    return result
