"""A provider's own content blocks, replayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.base import Frame
from providers.lenient import as_object, as_word
from streamserver.wire.events import from_json, named_event, to_json, without_nulls
from streamserver.wire.messages_blocks import message_event

START, DELTA, STOP = BLOCK_EVENTS = ("content_block_start", "content_block_delta", "content_block_stop")
_DEMANDED_FIELDS: Mapping[str | None, Mapping[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}
"""What a block of each type begins with at least: the SDKs add to these."""
_BLOCKS_OF_DELTAS: Mapping[str | None, str] = {"thinking_delta": "thinking", "signature_delta": "thinking"}
"""The blocks that deltas are of, where no start said so; of all others it is text."""


class ReplayedBlocks:
    """The blocks of one message: one open at a time, numbered from 0 without gaps, each begun before its deltas.

    Anthropic's own frames are so, and pass as they came: they are looked into only where a block begins. Those of a
    gateway may not be, which drops blocks or lets them overlap; the SDKs find a block by its place and fail, and
    langchain-anthropic adds to the block that began last. From the first such frame on all are mended: blocks are
    numbered anew, and what cuts into a tool call waits for the call's end.
    """

    def __init__(self) -> None:
        self._is_regular = True
        self._number = 0
        """The number of the open block, or of the next one."""
        self._open: Mapping[str, Any] | None = None
        """The event that began the open block."""
        self._waiting: list[dict[str, Any]] = []

    def add(self, frame: Frame) -> bytes:
        """Return the events of a frame of :data:`BLOCK_EVENTS`, and of those that waited for it."""
        if self._is_regular and frame.type != START and self._open is not None:
            if frame.type == STOP:
                self._advance()
            return b"" if _is_null_delta(frame) else named_event(frame.type, frame.data)
        event = {**from_json(frame.data), "type": frame.type}
        if self._is_regular and frame.type == START and self._is_next(event):
            self._open = event
            return named_event(frame.type, frame.data)
        self._is_regular = False
        return b"" if _is_null_delta(frame) else self._add(event)

    def end(self) -> bytes:
        """Close the open block, and write whatever still waits."""
        events = [self._close()]
        while self._waiting:
            events += [self._write_waiting(), self._close()]
        return b"".join(events)

    def _is_next(self, event: Mapping[str, Any]) -> bool:
        """Return whether a block begins where the SDKs expect it, with all that they add to."""
        block = as_object(event.get("content_block"))
        has_fields = all(block.get(name) is not None for name in _demanded_fields(block))
        return self._open is None and event.get("index") == self._number and has_fields

    def _add(self, event: dict[str, Any]) -> bytes:
        if self._must_wait(event):
            self._waiting.append(event)
            return b""
        match event["type"]:
            case "content_block_start":
                return self._close() + self._begin(event)
            case "content_block_delta":
                begun = b"" if self._open is not None else self._begin(_implied_start(event))
                return begun + self._event(event)
            case _:
                return b"" if self._open is None else self._close() + self._write_waiting()

    def _must_wait(self, event: Mapping[str, Any]) -> bool:
        if self._open is None:
            return False
        if event["type"] == START:
            return as_object(self._open.get("content_block")).get("type") == "tool_use"
        return event.get("index") not in (None, self._open.get("index"))

    def _write_waiting(self) -> bytes:
        waiting, self._waiting = self._waiting, []
        return b"".join(map(self._add, waiting))

    def _begin(self, event: Mapping[str, Any]) -> bytes:
        self._open = event
        block = as_object(event.get("content_block"))
        return self._event({**event, "content_block": {**_demanded_fields(block), **without_nulls(block)}})

    def _event(self, event: Mapping[str, Any]) -> bytes:
        return named_event(event["type"], to_json({**event, "index": self._number}))

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        number = self._number
        self._advance()
        return message_event(STOP, {"index": number})

    def _advance(self) -> None:
        self._open = None
        self._number += 1


def _demanded_fields(block: Mapping[str, Any]) -> Mapping[str, Any]:
    return _DEMANDED_FIELDS.get(as_word(block.get("type")), {})


def _implied_start(event: Mapping[str, Any]) -> dict[str, Any]:
    kind = _BLOCKS_OF_DELTAS.get(as_word(as_object(event.get("delta")).get("type")), "text")
    return {"type": START, "index": event.get("index"), "content_block": {"type": kind}}


def _is_null_delta(frame: Frame) -> bool:
    """Return whether ``frame`` is a delta with a null text: the SDKs add texts up."""
    if frame.type != DELTA or frame.pieces or b"null" not in frame.data:
        return False
    delta = as_object(from_json(frame.data).get("delta"))
    return any(name in delta and delta[name] is None for name in ("text", "thinking", "partial_json"))
