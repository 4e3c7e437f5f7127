"""Reasoning as OpenRouter streams it: typed details, some of which only the model's vendor can read.

Source: OpenRouter's documentation, "Reasoning tokens": ``reasoning_details`` are sent back unchanged with tool results.
"""

from __future__ import annotations

from typing import Any

from providers.lenient import objects

MAX_CHARS = 1024 * 1024
"""Details of more than this are not kept for the next turn: memory is bounded whatever a provider sends."""


class ReasoningDetails:
    """The reasoning details of one answer, joined from their pieces."""

    def __init__(self) -> None:
        self._details: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._chars = 0

    def add(self, details: object) -> str:
        """Take the pieces in a delta, and return the text in them."""
        texts = []
        for piece in objects(details):
            texts += [piece[name] for name in ("text", "summary") if isinstance(piece.get(name), str)]
            self._keep(piece)
        return "".join(texts)

    def for_next_turn(self) -> list[dict[str, Any]] | None:
        """Return the details if there is anything in them that only the vendor can read, else None."""
        details = list(self._details.values())
        opaque = any(detail.get("signature") or detail.get("data") for detail in details)
        return details if opaque and self._chars <= MAX_CHARS else None

    def _keep(self, piece: dict[str, Any]) -> None:
        self._chars += sum(len(value) for value in piece.values() if isinstance(value, str))
        if self._chars > MAX_CHARS:
            self._details.clear()
            return
        key = (str(piece.get("type")), str(piece.get("index")), str(piece.get("id")))
        detail = self._details.setdefault(key, {})
        for name, value in piece.items():
            if name in ("text", "summary", "data") and isinstance(value, str):
                detail[name] = detail.get(name, "") + value
            elif value is not None or name not in detail:
                detail[name] = value
