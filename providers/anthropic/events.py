"""The events of the Messages API, read.

Source: Anthropic's "Streaming Messages" page and the event types of its SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from providers.anthropic import errors
from providers.base import BlockEnd, Event, Finish, Opaque, Reasoning, Text, ToolCall, Usage, UsageDetails
from providers.errors import UpstreamError, disconnected
from providers.http_errors import read_payload

_FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None


class _Block(msgspec.Struct, gc=False):
    """A ``content_block`` as it starts, or a ``delta`` to one, or to the message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    data: str | None = None
    """Redacted thinking."""
    id: str | None = None
    name: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Message(msgspec.Struct):
    model: str | None = None
    usage: _Usage | None = None


class _Event(msgspec.Struct):
    """Any event of the stream, as much of it as is read; ``type`` says which."""

    type: str
    index: int | None = None
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Block | None = None
    usage: _Usage | None = None
    error: Any = None
    request_id: str | None = None


_DECODER = msgspec.json.Decoder(_Event)


class _Kind(msgspec.Struct):
    type: str


_KIND = msgspec.json.Decoder(_Kind)
_KNOWN = frozenset(
    {
        *("message_start", "message_delta", "message_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("ping", "error"),
    }
)


def _read(data: bytes) -> _Event:
    """An event. One that the API adds may have anything under the names that are known here."""
    try:
        return read_payload(data, _DECODER)
    except UpstreamError:
        kind = read_payload(data, _KIND).type
        if kind in _KNOWN:
            raise
        return _Event(kind)


class MessagesParser:
    """The API's events in, ours out: what one stream has said so far."""

    def __init__(self, model: str) -> None:
        """``model`` is the one that was asked for."""
        self._asked_model = model
        self.complete = False
        """``message_stop`` has come: nothing that matters follows."""
        self._model: str | None = None
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._opaque: dict[str, str] = {}
        """The part of the open thinking block that only the API can read."""
        self._block_type: str | None = None
        self._tools: dict[int, int] = {}
        """Index of a content block → which tool call of the answer it is."""
        self._without_arguments: set[int] = set()
        """The tool calls, by their block, of which no argument has come."""
        self._usage = _Usage()

    def events(self, name: str, data: bytes) -> Iterator[Event]:
        """The events in one of the API's. Raises a :class:`~providers.errors.ProviderError` for an ``error``."""
        event = _read(data)
        match event.type:
            case "content_block_delta":
                if event.delta is not None:
                    yield from self._delta(event.index or 0, event.delta)
            case "content_block_start":
                if event.content_block is not None:
                    yield from self._block(event.index or 0, event.content_block)
            case "message_start":
                message = event.message or _Message()
                self._model = message.model
                if message.usage is not None:
                    yield self._count(message.usage)
            case "message_delta":
                if event.delta is not None and event.delta.stop_reason:
                    self._stop_reason = event.delta.stop_reason
                    self._stop_sequence = event.delta.stop_sequence
                if event.usage is not None:
                    yield self._count(event.usage)
            case "message_stop":
                self.complete = True
            case "error":
                raise errors.from_stream({"error": event.error, "request_id": event.request_id})
            case "content_block_stop":
                yield from self._stop(event.index or 0)
            case _:  # ping, and whatever the API adds
                pass

    def _block(self, index: int, block: _Block) -> Iterator[Event]:
        self._block_type = block.type
        self._opaque = {"data": block.data} if block.type == "redacted_thinking" and block.data else {}
        if block.type == "tool_use":
            self._tools[index] = len(self._tools)
            self._without_arguments.add(index)
            yield ToolCall(self._tools[index], block.id, block.name, "")
        else:
            yield from self._delta(index, block)

    def _delta(self, index: int, delta: _Block) -> Iterator[Event]:
        if delta.text:
            yield Text(delta.text)
        elif delta.thinking:
            yield Reasoning(delta.thinking)
        elif delta.signature:
            self._opaque = {"signature": delta.signature}
        elif delta.partial_json and index in self._tools:
            self._without_arguments.discard(index)
            yield ToolCall(self._tools[index], None, None, delta.partial_json)

    def _stop(self, index: int) -> Iterator[Event]:
        """A call without arguments has an empty object for them: no JSON at all would be none of OpenAI's form."""
        if index in self._without_arguments:
            yield ToolCall(self._tools[index], None, None, "{}")
        if index in self._tools:
            yield BlockEnd("tool_call", self._tools[index])
        elif self._block_type == "text":
            yield BlockEnd("text")
        elif self._block_type in ("thinking", "redacted_thinking"):
            opaque = Opaque("messages", self._asked_model, self._opaque) if self._opaque else None
            yield BlockEnd("reasoning", opaque=opaque)
        self._block_type = None

    def _count(self, said: _Usage) -> Usage:
        """All that was said of usage until now, cached input included: it is in the context and on the bill.

        The counts are cumulative, but a later event may leave out those that have not changed.
        """
        counts = {name: value for name, value in msgspec.structs.asdict(said).items() if value is not None}
        self._usage = usage = msgspec.structs.replace(self._usage, **counts)
        parts = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
        prompt = None if usage.input_tokens is None else sum(part or 0 for part in parts)
        return Usage(prompt, usage.output_tokens, self._details())

    def _details(self) -> UsageDetails | None:
        usage = self._usage
        creation = usage.cache_creation or _CacheCreation()
        details = UsageDetails(
            cached_tokens=usage.cache_read_input_tokens,
            cache_write_tokens=usage.cache_creation_input_tokens,
            cache_write_5m_tokens=creation.ephemeral_5m_input_tokens,
            cache_write_1h_tokens=creation.ephemeral_1h_input_tokens,
            reasoning_tokens=(usage.output_tokens_details or _OutputDetails()).thinking_tokens,
        )
        return details if details != UsageDetails() else None

    def finish(self) -> Finish:
        """The end. Raises :class:`~providers.errors.UpstreamDisconnected` without a stop reason or ``message_stop``."""
        if not self.complete or self._stop_reason is None:
            raise disconnected("no_message_stop" if self._stop_reason else "no_stop_reason")
        reason = _FINISH_REASONS.get(self._stop_reason, self._stop_reason)
        return Finish(reason, self._model, self._stop_reason, self._stop_sequence)
