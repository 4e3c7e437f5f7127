"""Tool calls in the chunks of chat completions."""

from __future__ import annotations

from typing import Any

from providers.base import ToolCall

DETAILS = "reasoning_details"
"""What a provider wants back with a call, but beside it, in the turn."""
_CALL_FIELDS = frozenset({"index", "id", "type", "function", "custom"})


class CallDeltas:
    """An encoder of the tool calls of one answer: with indices from 0 without gaps, in the order of their first pieces.

    ``id``, ``type`` and the name come with the first piece only: clients join them.
    """

    def __init__(self, public_hash: str) -> None:
        self._id_prefix = f"call_{public_hash}_"
        self._indices: dict[int, int] = {}
        """Index of a provider's call → index of ours."""
        self._empty: dict[int, None] = {}
        """Our indices of the function calls without arguments so far."""

    def delta(self, piece: ToolCall) -> dict[str, Any]:
        """Return ``piece`` as an entry of ``delta.tool_calls``."""
        is_first = piece.index not in self._indices
        index = self._indices.setdefault(piece.index, len(self._indices))
        kind, content = ("custom", "input") if piece.custom else ("function", "arguments")
        delta: dict[str, Any] = {"index": index}
        described: dict[str, Any] = {}
        if is_first:
            delta |= {"id": piece.id or f"{self._id_prefix}{index}", "type": kind}
            described["name"] = piece.name or ""
        described[content] = piece.arguments
        delta[kind] = described
        delta.update({name: value for name, value in (piece.extra or {}).items() if name != DETAILS})
        if piece.arguments or piece.custom:
            self._empty.pop(index, None)
        elif is_first:
            self._empty[index] = None
        return delta

    def mended(self, call: dict[str, Any], piece: ToolCall) -> dict[str, Any]:
        """Return a provider's own ``call``, from which ``piece`` was read, as clients can read it."""
        delta = self.delta(piece)
        own = {name: value for name, value in call.items() if name not in _CALL_FIELDS}
        return {**delta, **own}

    def missing_arguments(self) -> list[dict[str, Any]]:
        """Return the pieces that complete calls without arguments, once: no text at all would be no JSON."""
        pieces = [{"index": index, "function": {"arguments": "{}"}} for index in self._empty]
        self._empty.clear()
        return pieces
