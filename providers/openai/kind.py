"""The ``openai`` kind: chat completions, over HTTP, streamed."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from typing import Annotated, Any

import msgspec
import openai

from providers.answers import read_error
from providers.base import ChatRequest, Event, Finish, Reasoning, Text, ToolCall, Usage
from providers.errors import ProviderAuth, UpstreamDisconnected, UpstreamError
from providers.openai import errors
from providers.openai.chunks import Choice, Chunk, TokenUsage, decode
from providers.options import ApiOptions, Context, HttpUrl
from providers.sdk import plain_headers, without_environment
from providers.sse import SSEDecoder
from providers.transport import HttpRequest, HttpResponse

BASE_URL = "https://api.openai.com/v1"

# OpenAI's reasoning models refuse max_tokens; everybody else's servers know only that.
_WANTS_COMPLETION_TOKENS = re.compile(r"(o\d|gpt-[5-9])")


class OpenAIOptions(ApiOptions, frozen=True, kw_only=True):
    """``[providers.NAME]`` with ``kind = "openai"``."""

    base_url: HttpUrl = BASE_URL
    organization: str | None = None
    project: str | None = None
    max_tokens_field: Annotated[str, msgspec.Meta(pattern="^(auto|max_tokens|max_completion_tokens)$")] = "auto"
    """What the server calls the limit; ``auto``: ``max_completion_tokens`` for OpenAI's own reasoning models."""


class OpenAI:
    """A provider that speaks OpenAI's chat completions."""

    def __init__(self, options: OpenAIOptions, context: Context) -> None:
        self._options = options
        self._transport = context.transport
        self._missing = context.missing
        with without_environment():
            client = openai.AsyncOpenAI(
                # The SDK will not do without a key; without one its header is taken off again.
                api_key=context.api_key or "none",
                organization=options.organization,
                project=options.project,
                base_url=options.base_url,
                max_retries=0,
            )
        headers = {**plain_headers(client.default_headers), **client.auth_headers, "Accept": "text/event-stream"}
        if context.api_key is None:
            del headers["Authorization"]
        self._headers = headers
        self._url = str(client.base_url.join("chat/completions"))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        if self._missing is not None:
            raise ProviderAuth(self._missing, sent=False)
        body = msgspec.json.encode(self._payload(request))
        response = await self._transport.send(HttpRequest(self._url, self._headers, body))
        complete = False
        try:
            await _expect_stream(response)
            reader = ChatReader()
            decoder = SSEDecoder()
            while chunk := await response.read():
                for payload in decoder.feed(chunk):
                    if payload == b"[DONE]":
                        complete = True
                        break
                    for event in reader.events(payload):
                        yield event
                if complete:
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

    def _payload(self, request: ChatRequest) -> dict[str, Any]:
        payload: dict[str, Any] = {
            **request.extra,
            "model": request.model,
            "messages": request.messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            self._max_tokens_field(request.model): request.max_tokens,
        }
        for name in ("temperature", "tools", "tool_choice"):
            value = getattr(request, name)
            if value is not None:
                payload[name] = value
        return payload

    def _max_tokens_field(self, model: str) -> str:
        if self._options.max_tokens_field != "auto":
            return self._options.max_tokens_field
        own = self._options.base_url == BASE_URL
        return "max_completion_tokens" if own and _WANTS_COMPLETION_TOKENS.match(model) else "max_tokens"


class ChatReader:
    """Chunks in, events out: what one stream has said so far."""

    def __init__(self) -> None:
        self._model: str | None = None
        self._finish_reason: str | None = None

    def events(self, payload: bytes) -> Iterator[Event]:
        """The events in one chunk. Raises a :class:`~providers.errors.ProviderError` for an in-band error."""
        try:
            chunk = decode(payload)
        except (ValueError, RecursionError):
            raise UpstreamError("The model's provider sent an answer that makes no sense.") from None
        if chunk.error:
            raise errors.from_stream(chunk.error)
        if chunk.model:
            self._model = chunk.model
        for choice in chunk.choices or ():
            if not choice.index:
                yield from self._choice(choice)
        if chunk.usage is not None:
            yield _usage(chunk)

    def _choice(self, choice: Choice) -> Iterator[Event]:
        delta = choice.delta
        if delta is not None:
            reasoning = delta.reasoning_content or delta.reasoning
            if reasoning:
                yield Reasoning(reasoning)
            # A refusal is what the model says instead of an answer.
            text = delta.content or delta.refusal
            if text:
                yield Text(text)
            for position, call in enumerate(delta.tool_calls or ()):
                function = call.function
                yield ToolCall(
                    position if call.index is None else call.index,
                    call.id,
                    function.name if function else None,
                    (function.arguments if function else None) or "",
                )
        if choice.finish_reason:
            self._finish_reason = choice.finish_reason

    def finish(self) -> Finish:
        """The end. Raises :class:`~providers.errors.UpstreamDisconnected` if the model never said that it finished."""
        if self._finish_reason is None:
            raise UpstreamDisconnected
        reason = "tool_calls" if self._finish_reason == "function_call" else self._finish_reason
        return Finish(reason, self._model)


def _usage(chunk: Chunk) -> Usage:
    usage = chunk.usage or TokenUsage()
    return Usage(usage.prompt_tokens, usage.completion_tokens)


async def _expect_stream(response: HttpResponse) -> None:
    """Raise what a status other than 200, or something else than an event stream, means."""
    if response.status != 200:
        raise errors.from_answer(response.status, response.headers, await read_error(response))
    content_type = response.headers.get("Content-Type", "")
    if "json" in content_type or "html" in content_type:
        body = await read_error(response)
        if body.get("error"):
            raise errors.from_stream(body["error"])
        raise UpstreamError("The model's provider answered with something else than a stream.")
