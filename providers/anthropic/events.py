"""The events of the Messages API, read.

Source: Anthropic's "Streaming Messages" page and the event types of its SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from providers.answer import AnswerParser
from providers.anthropic.usage import MessageUsage
from providers.base import BlockEnd, Event, Finish, Opaque, Reasoning, Text
from providers.errors import disconnected
from providers.lenient import as_object, as_text, as_word, is_end_marker, objects
from providers.upstream_errors import raise_error_in

_KNOWN_EVENTS = frozenset(
    {
        *("message_start", "message_delta", "message_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("ping", "error"),
    }
)
_Kind = Literal["text", "reasoning", "tool_call"]
_KINDS: Mapping[str, _Kind] = {
    "text": "text",
    "thinking": "reasoning",
    "redacted_thinking": "reasoning",
    "tool_use": "tool_call",
}

_TEXT_KINDS = frozenset({"text", "reasoning"})


class _Message(msgspec.Struct):
    model: str | None = None
    usage: MessageUsage | None = None
    content: Any = None


class _MessagesEvent(msgspec.Struct):
    """Any event of the stream, as much of it as is read; ``type`` says which."""

    type: str | None = None
    index: int | None = None
    message: _Message | None = None
    content_block: Any = None
    delta: Any = None
    stop_reason: Any = None
    """Of a copy of the API that does not put it into the ``delta``."""
    usage: MessageUsage | None = None


_MESSAGES_DECODER = msgspec.json.Decoder(_MessagesEvent)


class _Block(msgspec.Struct):
    """A content block under way. ``kind`` is None for what is not read, such as a call of the API's own tools."""

    key: int | str
    kind: _Kind | None
    has_text: bool = False
    opaque: dict[str, str] = {}


class MessagesParser(AnswerParser):
    """A parser of one stream of the API's events, with what it has read so far."""

    def __init__(self, model: str) -> None:
        """``model`` is the one that was asked for."""
        super().__init__()
        self._asked_model = model
        self._blocks: dict[int | str, _Block] = {}
        """The blocks under way, by their index."""
        self._block: _Block | None = None
        """The one that began last."""
        self._usage = MessageUsage()
        self._content: object = None
        """The content that the message began with; empty in Anthropic's own streams."""

    def _read(self, name: str, data: bytes) -> Iterator[Event]:
        event = self.decode(name, data, _MESSAGES_DECODER)
        if event is None:
            self.complete = self.has_ended and is_end_marker(data)  # some gateways end every stream like this
            return
        match event.type if event.type in _KNOWN_EVENTS else name or event.type:
            case "content_block_delta":
                block, delta = self._block_at(event.index), as_object(event.delta)
                yield from self._delta(block, delta)
                if block is not None and block.kind in _TEXT_KINDS and self.can_learn:
                    self._learn(name, data, event, delta)
            case "content_block_start":
                yield from self._start(event.index, as_object(event.content_block))
            case "content_block_stop":
                yield from self._stop(self._block_at(event.index))
            case "message_start":
                message = event.message or _Message()
                yield from self.report_model(message.model)
                self._content = message.content
                if message.usage is not None:
                    yield self._count(message.usage)
            case "message_delta":
                yield from self._message_delta({"stop_reason": event.stop_reason, **as_object(event.delta)})
                if event.usage is not None:
                    yield self._count(event.usage)
            case "message_stop":
                yield from self._message_delta({"stop_reason": event.stop_reason})
                if not self.has_text and not self.calls:
                    yield from self._whole(self._content)
                self.complete = True
            case "ping":
                pass
            case _:  # an error, or whatever the API adds
                raise_error_in(name, data)

    def _learn(self, name: str, data: bytes, event: _MessagesEvent, delta: dict[str, Any]) -> None:
        """Learn the shape of ``event``, if its delta is a token of the block under way and nothing else."""
        for field, kind in (("text", Text), ("thinking", Reasoning)):
            if delta.keys() == {"type", field} and (text := as_word(delta[field])):

                def has_token(data: bytes, text: str, field: str = field) -> bool:
                    delta[field] = text
                    return _MESSAGES_DECODER.decode(data) == event

                self.learn(name, data, kind(text), has_token)

    def _block_at(self, index: int | None) -> _Block | None:
        """Return the block with that index, else the one under way."""
        return self._block if index is None else self._blocks.get(index, self._block)

    def _start(self, index: int | None, content: Mapping[str, Any]) -> Iterator[Event]:
        self.forget_shape()  # a delta of the same index may be another block's now
        kind = content.get("type")
        key = f"without index {len(self._blocks)}" if index is None else index
        block = _Block(key, _KINDS.get(kind) if isinstance(kind, str) else _kind_by_fields(content))
        self._blocks[key] = self._block = block
        if block.kind == "tool_call":
            yield from self.calls.add(key, id=content.get("id"), name=content.get("name"))
            self.calls.offer(key, content.get("input"))
        elif block.kind is None:
            self.has_unreadable = True
        else:
            yield from self._delta(block, content)

    def _delta(self, block: _Block | None, delta: Mapping[str, Any]) -> Iterator[Event]:
        if block is None:
            kind: _Kind = "tool_call" if "partial_json" in delta else "text"
            self._block = self._blocks["without start"] = block = _Block("without start", kind)
        if block.kind == "tool_call":
            if "partial_json" in delta:
                yield from self.calls.add(block.key, arguments=delta["partial_json"])
        elif block.kind is not None:
            yield from self._text(block, delta)

    def _text(self, block: _Block, delta: Mapping[str, Any]) -> Iterator[Event]:
        if text := as_text(delta.get("text")):
            self.has_text = block.has_text = True
            yield Text(text)
        elif thinking := as_word(delta.get("thinking")):
            self.has_text = block.has_text = True
            yield Reasoning(thinking)
        for name in ("signature", "data"):
            if opaque := as_word(delta.get(name)):
                # A signature comes whole; the SDKs replace an earlier one (`accumulate_event`):
                # https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/lib/streaming/_messages.py
                block.opaque = {name: opaque}

    def _stop(self, block: _Block | None) -> Iterator[Event]:
        self.forget_shape()
        if block is None or self._blocks.pop(block.key, None) is None:
            return
        match block.kind:
            case "tool_call":
                yield from self.calls.complete(block.key)
                yield BlockEnd("tool_call", self.calls.index_of(block.key))
            case "reasoning" if block.has_text or block.opaque:
                opaque = Opaque("messages", self._asked_model, block.opaque) if block.opaque else None
                yield BlockEnd("reasoning", opaque=opaque)
            case "text" if block.has_text:
                yield BlockEnd("text")

    def _message_delta(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        if word := as_word(delta.get("stop_reason")):
            self.end(word, as_word(delta.get("stop_sequence")))
            for block in list(self._blocks.values()):
                yield from self._stop(block)

    def _whole(self, content: object) -> Iterator[Event]:
        """Yield the content of a message that came as a whole."""
        for number, block in enumerate(objects(content)):
            yield from self._start(number, block)
            yield from self._stop(self._block)

    def _count(self, usage: MessageUsage) -> Event:
        self._usage = self._usage.updated(usage)
        return self._usage.as_usage()

    def finish(self) -> Finish:
        """Return the end.

        Raises :class:`~providers.errors.UpstreamDisconnected` without a stop reason or ``message_stop``.
        """
        if not self.complete or not self.has_ended:
            raise disconnected("no_message_stop" if self.has_ended else "no_stop_reason")
        return super().finish()


def _kind_by_fields(content: Mapping[str, Any]) -> _Kind | None:
    """Return the kind of a block with an unreadable type, judged by its fields."""
    fields: Mapping[str, _Kind] = {"input": "tool_call", "thinking": "reasoning", "text": "text"}
    return next((kind for field, kind in fields.items() if field in content), None)
