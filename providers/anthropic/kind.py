"""The ``anthropic`` kind: the Messages API, over HTTP, streamed.

Source: Anthropic's "Streaming Messages" page and the event types of its SDK.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

import anthropic
import msgspec

from providers.answers import read_error
from providers.anthropic import errors
from providers.anthropic.messages import payload
from providers.base import ChatRequest, Event, Finish, Reasoning, Text, ToolCall, Usage
from providers.errors import ProviderAuth, UpstreamDisconnected, UpstreamError
from providers.jsontext import loads
from providers.options import ApiOptions, Context, HttpUrl
from providers.sdk import plain_headers, without_environment
from providers.sse import SSEDecoder
from providers.transport import HttpRequest, HttpResponse

BASE_URL = "https://api.anthropic.com"

_FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicOptions(ApiOptions, frozen=True, kw_only=True):
    """``[providers.NAME]`` with ``kind = "anthropic"``. ``base_url`` is the root, without ``/v1``."""

    base_url: HttpUrl = BASE_URL


class Anthropic:
    """A provider that speaks Anthropic's Messages API."""

    def __init__(self, options: AnthropicOptions, context: Context) -> None:
        self._transport = context.transport
        self._missing = context.missing
        self._extra = options.extra
        with without_environment():
            client = anthropic.AsyncAnthropic(
                # The SDK looks for credentials on disk unless it is given a key.
                api_key=context.api_key or "none",
                base_url=options.base_url,
                max_retries=0,
            )
        headers = {**plain_headers(client.default_headers), "Accept": "text/event-stream"}
        for name in client.auth_headers:
            headers.pop(name, None)
        self._headers = headers if context.api_key is None else {**headers, **client.auth_headers}
        self._url = f"{str(client.base_url).rstrip('/')}/v1/messages"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        if self._missing is not None:
            raise ProviderAuth(f"This server has no key for the provider: {self._missing}.", sent=False)
        body = msgspec.json.encode(payload(request, self._extra))
        response = await self._transport.send(HttpRequest(self._url, self._headers, body))
        complete = False
        try:
            await _expect_stream(response)
            reader = MessageReader()
            decoder = SSEDecoder()
            while not reader.stopped and (chunk := await response.read()):
                for data in decoder.feed(chunk):
                    for event in reader.events(data):
                        yield event
                    if reader.stopped:
                        break
            yield reader.finish()
            complete = True
        finally:
            if complete:
                response.finish()
            else:
                response.close()

    async def aclose(self) -> None:
        """Nothing is held here: the transport belongs to the registry."""


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Block(msgspec.Struct, gc=False):
    """A ``content_block`` as it starts, or a ``delta`` to one, or to the message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    id: str | None = None
    name: str | None = None
    stop_reason: str | None = None


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


class MessageReader:
    """The API's events in, ours out: what one stream has said so far."""

    def __init__(self) -> None:
        self.stopped = False
        """``message_stop`` has come: nothing that matters follows."""
        self._model: str | None = None
        self._stop_reason: str | None = None
        self._tools: dict[int, int] = {}
        """Index of a content block → which tool call of the answer it is."""
        self._without_arguments: set[int] = set()
        """The tool calls, by their block, of which no argument has come."""
        self._usage = _Usage()

    def events(self, data: bytes) -> Iterator[Event]:
        """The events in one of the API's. Raises a :class:`~providers.errors.ProviderError` for an ``error``."""
        event = _decode(data)
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
                if event.usage is not None:
                    yield self._count(event.usage)
            case "message_stop":
                self.stopped = True
            case "error":
                raise errors.from_stream({"error": event.error, "request_id": event.request_id})
            case "content_block_stop":
                yield from self._stop(event.index or 0)
            case _:  # ping, and whatever the API adds
                pass

    def _block(self, index: int, block: _Block) -> Iterator[Event]:
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
        elif delta.partial_json and index in self._tools:
            self._without_arguments.discard(index)
            yield ToolCall(self._tools[index], None, None, delta.partial_json)

    def _stop(self, index: int) -> Iterator[Event]:
        """A call without arguments has an empty object for them: no JSON at all would be none of OpenAI's form."""
        if index in self._without_arguments:
            yield ToolCall(self._tools[index], None, None, "{}")

    def _count(self, said: _Usage) -> Usage:
        """All that was said of usage until now, cached input included: it is in the context and on the bill.

        The counts are cumulative, but a later event may leave out those that have not changed.
        """
        counts = {name: value for name, value in msgspec.structs.asdict(said).items() if value is not None}
        self._usage = usage = msgspec.structs.replace(self._usage, **counts)
        parts = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
        prompt = None if usage.input_tokens is None else sum(part or 0 for part in parts)
        return Usage(prompt, usage.output_tokens)

    def finish(self) -> Finish:
        """The end. Raises :class:`~providers.errors.UpstreamDisconnected` without a stop reason or ``message_stop``."""
        if not self.stopped or self._stop_reason is None:
            raise UpstreamDisconnected
        return Finish(_FINISH_REASONS.get(self._stop_reason, self._stop_reason), self._model)


def _decode(data: bytes) -> _Event:
    try:
        try:
            return _DECODER.decode(data)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.convert(loads(data), _Event)
    except (ValueError, RecursionError):
        raise UpstreamError("The model's provider sent an answer that makes no sense.") from None


async def _expect_stream(response: HttpResponse) -> None:
    """Raise what a status other than 200, or something else than an event stream, means."""
    if response.status != 200:
        raise errors.from_answer(response.status, response.headers, await read_error(response))
    content_type = response.headers.get("Content-Type", "")
    if "json" in content_type or "html" in content_type:
        body = await read_error(response)
        if body.get("error"):
            raise errors.from_stream(body)
        raise UpstreamError("The model's provider answered with something else than a stream.")
