"""The content blocks of a translated message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers import opaque
from providers.base import BlockEnd, ContentEvent, Opaque, Reasoning, Text, ToolCall
from providers.jsontext import as_json_object
from streamserver.wire.events import named_event, to_json


def message_event(name: str, fields: Mapping[str, Any]) -> bytes:
    """Return an event of Messages: its name is also the ``type`` in its data."""
    return named_event(name, to_json({"type": name, **fields}))


class ContentBlocks:
    """A writer of an answer's pieces as blocks, numbered in the order in which they are opened, one open at a time.

    A provider may interleave a tool call with other pieces. They wait until the call is complete, since its arguments
    have no place behind the end of its block: langchain-anthropic adds them to the block that was opened last
    (``block_start_event``):
    https://github.com/langchain-ai/langchain/blob/master/libs/partners/anthropic/langchain_anthropic/chat_models.py.
    """

    def __init__(self, public_hash: str) -> None:
        self._hash = public_hash
        self._next_index = 0
        self._open: str | int | None = None
        """The kind of the open block, or the index of its tool call."""
        self._calls: dict[int, _ToolBlock] = {}
        self._waiting: list[ContentEvent] = []

    def add(self, piece: ContentEvent) -> bytes:
        """Return the events of ``piece``, and of those that waited for it."""
        if self._must_wait(piece):
            self._waiting.append(piece)
            return b""
        written = [self._write(piece)]
        while self._waiting and not self._is_busy():
            written.append(self._write_waiting())
        return b"".join(written)

    def end(self) -> bytes:
        """Close the open block, and write whatever still waits."""
        written = [self._close()]
        while self._waiting:
            written += [self._write_waiting(), self._close()]
        return b"".join(written)

    def _is_busy(self) -> bool:
        """Return whether the open block is a tool call without all of its arguments."""
        return isinstance(self._open, int) and not self._calls[self._open].is_complete()

    def _must_wait(self, piece: ContentEvent) -> bool:
        belongs = isinstance(piece, (ToolCall, BlockEnd)) and piece.index is not None and piece.index == self._open
        return not belongs and (bool(self._waiting) or self._is_busy())

    def _write_waiting(self) -> bytes:
        """Write the pieces that wait, except those that must wait for one of them."""
        waiting, self._waiting = self._waiting, []
        written = []
        for piece in waiting:
            if self._must_wait(piece):
                self._waiting.append(piece)
            else:
                written.append(self._write(piece))
        return b"".join(written)

    def _write(self, piece: ContentEvent) -> bytes:
        match piece:
            case ToolCall():
                return self._tool_call(piece)
            case BlockEnd():
                return self._block_end(piece)
            case Reasoning():
                return self._text("thinking", piece.text, {"signature": ""})
            case Text():
                return self._text("text", piece.text, {})

    def _text(self, kind: str, text: str, fields: Mapping[str, Any]) -> bytes:
        if not text:
            return b""
        head = b"" if self._open == kind else self._start(kind, {"type": kind, kind: "", **fields})
        return head + self._delta({"type": f"{kind}_delta", kind: text})

    def _tool_call(self, piece: ToolCall) -> bytes:
        call = self._calls.get(piece.index)
        if call is None:
            call = self._calls[piece.index] = _ToolBlock(piece.custom)
        if call.closed:
            return b""
        head = b""
        if self._open != piece.index:
            call_id = piece.id or f"toolu_{self._hash}_{len(self._calls) - 1}"
            block = {"type": "tool_use", "id": call_id, "name": piece.name or "", "input": {}}
            head = self._start(piece.index, block)
        return head + self._input(call.add(piece.arguments))

    def _input(self, text: str) -> bytes:
        return self._delta({"type": "input_json_delta", "partial_json": text}) if text else b""

    def _block_end(self, end: BlockEnd) -> bytes:
        if end.opaque is not None:
            return self._opaque(end.opaque)
        kind = {"reasoning": "thinking", "refusal": "text", "tool_call": end.index}.get(end.kind, end.kind)
        return self._close() if kind == self._open else b""

    def _opaque(self, part: Opaque) -> bytes:
        match part.data:
            case {"data": str(data)} if part.protocol == "messages":
                return self._start("redacted_thinking", {"type": "redacted_thinking", "data": data}) + self._close()
            case {"signature": str(data)} if part.protocol == "messages":
                signature = data
            case _:
                signature = opaque.seal(part)
        head = b""
        if self._open != "thinking":
            head = self._start("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        # One whole delta: the SDKs replace the signature, they do not append to it (`accumulate_event`):
        # https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/lib/streaming/_messages.py
        return head + self._delta({"type": "signature_delta", "signature": signature}) + self._close()

    def _start(self, key: str | int, block: Mapping[str, Any]) -> bytes:
        closing = self._close()
        self._open = key
        return closing + message_event("content_block_start", {"index": self._next_index, "content_block": block})

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        return message_event("content_block_delta", {"index": self._next_index, "delta": delta})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        rest = self._input(self._calls[self._open].close()) if isinstance(self._open, int) else b""
        self._open = None
        index, self._next_index = self._next_index, self._next_index + 1
        return rest + message_event("content_block_stop", {"index": index})


class _ToolBlock:
    """A tool call that is being written. A custom tool's free text becomes the input ``{"input": …}``."""

    def __init__(self, custom: bool) -> None:
        self.closed = False
        self._custom = custom
        self._pieces: list[str] = []
        self._complete: bool | None = None
        """None: not known since the last piece."""

    def add(self, arguments: str) -> str:
        """Take the next arguments. Return the JSON text to write for them."""
        text = arguments
        if self._custom:
            text = ("" if self._pieces else '{"input":"') + to_json(arguments).decode()[1:-1]
        self._pieces.append(text)
        if text.strip():
            self._complete = None if text.rstrip().endswith("}") else False
        return text

    def is_complete(self) -> bool:
        """Return whether the arguments so far are a whole JSON object."""
        if self._complete is None:
            self._complete = as_json_object("".join(self._pieces)) is not None
        return self._complete

    def close(self) -> str:
        """Return what is left to write at the end of the block."""
        self.closed = True
        return '"}' if self._custom else ""
