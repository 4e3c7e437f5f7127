"""The events of an answer, and their bytes.

Source of the framing: WHATWG HTML, 9.2 "Server-sent events"; the server ends lines with LF alone.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import msgspec

from streamserver.client.errors import StreamError, not_a_streamserver
from streamserver.log.records import TokenUsage


class StartEvent(msgspec.Struct, frozen=True):
    """The generation has begun. The server sends a sign of life at least every ``keepalive_seconds``."""

    stream_id: str
    request_id: str
    provider: str
    model: str
    keepalive_seconds: float = 15.0
    type: Literal["start"] = "start"


class TextEvent(msgspec.Struct, frozen=True):
    """The next piece of the answer."""

    text: str
    type: Literal["text"] = "text"


class ReasoningEvent(msgspec.Struct, frozen=True):
    """The next piece of the model's reasoning."""

    text: str
    type: Literal["reasoning"] = "reasoning"


class ToolCallEvent(msgspec.Struct, frozen=True):
    """A piece of a tool call: ``id`` and ``name`` come with its first piece, else None; ``arguments`` is JSON text."""

    index: int
    id: str | None
    name: str | None
    arguments: str
    extra: dict[str, Any] | None = None
    type: Literal["tool_call"] = "tool_call"


class DoneEvent(msgspec.Struct, frozen=True):
    """The answer is complete."""

    finish_reason: str
    provider: str
    model: str
    usage: TokenUsage | None
    ttft_ms: float | None
    duration_ms: float
    type: Literal["done"] = "done"


class _ErrorFields(msgspec.Struct, frozen=True):
    code: str
    message: str
    retryable: bool = False
    retry_after: float | None = None
    request_id: str | None = None
    usage: TokenUsage | None = None


class UnknownEvent(msgspec.Struct, frozen=True):
    """An event of a newer server. It is counted, and not given to the caller."""


StreamEvent: TypeAlias = StartEvent | TextEvent | ReasoningEvent | ToolCallEvent | DoneEvent

_EVENT_TYPES: dict[str, type[StreamEvent]] = {
    "start": StartEvent,
    "reasoning": ReasoningEvent,
    "tool_call": ToolCallEvent,
    "done": DoneEvent,
}
_ID = re.compile(r"([\w-]+):([0-9]+|end)", re.ASCII)


class Block(msgspec.Struct, frozen=True):
    """One event on the wire."""

    event: str
    data: str
    id: str

    @classmethod
    def parse(cls, block: bytes) -> Block | None:
        """Read a block of lines; None if it has no data."""
        data: list[str] = []
        fields = {"event": "message", "id": ""}
        for line in block.decode("utf-8", "replace").split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            else:
                fields[name] = value
        return cls(fields["event"], "\n".join(data), fields["id"]) if data else None

    def position(self) -> tuple[str, int | None]:
        """Return the stream's id and the event's number, which an ending of another node's does not have.

        Raises :class:`StreamError` if the server is no streamserver.
        """
        match = _ID.fullmatch(self.id)
        if match is None:
            raise not_a_streamserver(200, "text/event-stream")
        return match[1], None if match[2] == "end" else int(match[2])

    def decode(self) -> StreamEvent | UnknownEvent | StreamError:
        """Return the event. Raises :class:`msgspec.DecodeError` if its data is not what the server sends."""
        if self.event == "message":
            return TextEvent(self.data)
        if self.event == "error":
            error = msgspec.json.decode(self.data, type=_ErrorFields)
            facts = msgspec.structs.asdict(error)
            return StreamError(facts.pop("code"), facts.pop("message"), **facts)
        if self.event not in _EVENT_TYPES:
            return UnknownEvent()
        return msgspec.json.decode(self.data, type=_EVENT_TYPES[self.event])


class BlockSplitter:
    """A splitter of bytes into blocks. A block that is cut off is dropped: it comes again on the next connection."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Block]:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        return [block for block in map(Block.parse, blocks) if block is not None]
