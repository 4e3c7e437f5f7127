"""What a row of the matrix is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.upstream import RawScript, Script

MARK = "Quarkstrudel"
"""In every prompt, key and error message of the matrix, and nowhere in a log."""


@dataclass(frozen=True)
class Case:
    """One fault and the one right ending."""

    name: str
    upstream: Script
    ends: str
    """``done``, or the error's code."""
    text: str = ""
    """What is delivered before the end."""
    at: str = field(default="up", kw_only=True)
    """The provider's address: the scripted upstream's (``up``, ``tls``), or one without a server (``refused`` …)."""
    raw: RawScript | None = field(default=None, kw_only=True)
    """What the upstream does instead, on the bare connection."""
    short: str | None = field(default=None, kw_only=True)
    """The deadline that is short. The others are long, so that nothing depends on speed."""
    says: str = field(default="", kw_only=True)
    """Part of the message to the person at the screen."""
    retry_after: float | None = field(default=None, kw_only=True)
    finish: str = field(default="stop", kw_only=True)
    usage: tuple[int, int] | None = field(default=None, kw_only=True)
    """The provider's own counts; None: they are estimated."""
    log: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    """Fields of the record, besides those that follow from the rest. None: it is not there."""
    is_large: bool = field(default=False, kw_only=True)
    """It is asked on the native wire alone: the same megabytes on eight more would say nothing new."""
    is_replayed: bool = field(default=False, kw_only=True)
    """On the wire of the provider's own protocol it is an answer, which is passed on."""
    source: str = field(default="", kw_only=True)
    """The source of the provider's words."""
