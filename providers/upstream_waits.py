"""How long a provider asks to wait, where it says so in an error's body instead of a header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from providers.error_words import MAX_MESSAGE
from providers.lenient import as_object, objects

_UNIT_SECONDS: Mapping[str, float] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_AMOUNT = r"\d+(?:\.\d+)?\s*(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d)(?![a-z])"
_WAIT = re.compile(rf"(?:try again|retry|retrying|wait)\s+(?:in|after|for)\s+((?:{_AMOUNT}[\s,]*)+)", re.IGNORECASE)
_AMOUNT_AND_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milli|s|m|h|d)", re.IGNORECASE)


def wait_in(error: Mapping[str, Any]) -> float | None:
    """Return the seconds that ``error`` asks to wait, None if it does not say.

    Gemini has them as ``retryDelay`` in its ``details``, others as ``retry_after`` in the error or its ``metadata``;
    OpenAI, Azure and Groq have them only in the sentence: "Please try again in 1m26.4s.".
    """
    for place in (error, as_object(error.get("metadata")), *objects(error.get("details"))):
        for name, unit in _WAIT_FIELDS.items():
            seconds = _seconds(place.get(name), unit)
            if seconds is not None:
                return seconds
    message = error.get("message")
    said = _WAIT.search(message[:MAX_MESSAGE]) if isinstance(message, str) else None
    return None if said is None else _sum(said[1])


_WAIT_FIELDS: Mapping[str, float] = {
    "retryDelay": 1,
    "retry_after": 1,
    "retry_after_seconds": 1,
    "retry_after_ms": 0.001,
}


def _seconds(value: object, unit: float) -> float | None:
    if isinstance(value, str):
        if _AMOUNT_AND_UNIT.search(value):
            return _sum(value)
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        return None
    return value * unit


def _sum(text: str) -> float:
    """Return the seconds in "1m26.4s" or "2 minutes"."""
    return sum(
        float(number) * _UNIT_SECONDS["ms" if unit.lower() == "milli" else unit.lower()]
        for number, unit in _AMOUNT_AND_UNIT.findall(text)
    )
