"""Chat completions: the chunks of a streamed answer, read.

Source: OpenAI's API reference, "Chat completions", and what the servers that copy it do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from providers.base import Event, Finish, Reasoning, Refusal, Text, ToolCall
from providers.errors import ProviderError, disconnected
from providers.http_errors import read_payload
from providers.openai import errors
from providers.openai.chunks import CHUNK, Chunk, Delta, ToolCallDelta


class ChatParser:
    """Chunks in, events out: what one stream has said so far."""

    def __init__(self) -> None:
        self.complete = False
        """``[DONE]`` has come: nothing that matters follows."""
        self._model: str | None = None
        self._finish_reason: str | None = None

    def events(self, name: str, data: bytes) -> Sequence[Event]:
        """Return the events in one chunk. Raises a :class:`~providers.errors.ProviderError` for an in-band error."""
        if data == b"[DONE]":
            self.complete = True
            return ()
        chunk = read_payload(data, CHUNK)
        if chunk.error or chunk.object == "error":
            raise _failure(chunk)
        if chunk.model:
            self._model = chunk.model
        # A list, and functions that add to it: three generators would cost as much as reading the JSON.
        events: list[Event] = []
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if choice.delta is not None:
                _add_delta(choice.delta, events)
            if choice.finish_reason:
                self._finish_reason = choice.finish_reason
        if chunk.usage is not None:
            events.append(chunk.usage.as_usage())
        return events

    def finish(self) -> Finish:
        """The end. Raises :class:`~providers.errors.UpstreamDisconnected` if the model never said that it finished."""
        if self._finish_reason is None:
            raise disconnected("no_finish_reason")
        reason = "tool_calls" if self._finish_reason == "function_call" else self._finish_reason
        return Finish(reason, self._model, self._finish_reason)


def _failure(chunk: Chunk) -> ProviderError:
    """What a chunk means that tells of an error, or is one."""
    return errors.from_stream(chunk.error or {"message": chunk.message, "type": chunk.type, "code": chunk.code})


def _add_delta(delta: Delta, events: list[Event]) -> None:
    reasoning = delta.reasoning_content or delta.reasoning
    if reasoning:
        events.append(Reasoning(reasoning))
    content = delta.content
    if content:
        if isinstance(content, str):
            events.append(Text(content))
        else:
            events.extend(_parts(content))
    if delta.refusal:
        events.append(Refusal(delta.refusal))
    if delta.tool_calls:
        events += [_tool_call(call, position) for position, call in enumerate(delta.tool_calls)]


def _tool_call(call: ToolCallDelta, position: int) -> ToolCall:
    function, custom = call.function, call.custom
    named = custom or function
    arguments = custom.input if custom else function.arguments if function else None
    return ToolCall(
        position if call.index is None else call.index,
        call.id,
        named.name if named else None,
        arguments or "",
        None if call.extra_content is None else {"extra_content": call.extra_content},
        custom is not None,
    )


def _parts(parts: list[Any]) -> Iterator[Event]:
    """Content in parts, as Mistral's reasoning models stream it: ``text``, and ``thinking`` which holds texts."""
    for part in parts:
        match part:
            case {"type": "text", "text": str(text)} if text:
                yield Text(text)
            case {"type": "thinking", "thinking": list(thoughts)}:
                text = "".join(thought["text"] for thought in thoughts if _is_text(thought))
                if text:
                    yield Reasoning(text)


def _is_text(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)
