"""What a parser makes of a stream, put together as a client would."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from providers.anthropic.events import MessagesParser
from providers.base import BlockEnd, Event, Finish, Reasoning, Text, ToolCall, Usage
from providers.errors import ProviderError
from providers.openai.chat_stream import ChatParser
from providers.openai.responses_stream import ResponsesParser
from providers.parser import StreamParser


def parser(protocol: str) -> StreamParser:
    match protocol:
        case "chat":
            return ChatParser()
        case "responses":
            return ResponsesParser("model")
        case _:
            return MessagesParser("model")


@dataclass
class Reading:
    """An answer as a client has it at its end."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str | None, str | None, str]] = field(default_factory=list)
    """Of each call its id, its name, and its arguments put together."""
    usage: Usage | None = None
    finish: Finish | None = None
    error: ProviderError | None = None
    events: list[Event] = field(default_factory=list)


def read(protocol: str, frames: Iterable[tuple[str, bytes]]) -> Reading:
    """Read a stream as :class:`~providers.sse_provider.SSEProvider` does."""
    reading = Reading()
    stream = parser(protocol)
    try:
        for name, data in frames:
            for event in stream.events(name, data):
                take(reading, event)
            if stream.complete:
                break
        finish = stream.finish()
        for event in stream.rest():
            take(reading, event)
        reading.finish = finish
    except ProviderError as error:
        reading.error = error
    return reading


def take(reading: Reading, event: Event) -> None:
    """Take an event, and assert what holds of every one."""
    reading.events.append(event)
    match event:
        case Text(text):
            assert text
            reading.text += text
        case Reasoning(text):
            assert text
            reading.reasoning += text
        case ToolCall():
            _take_call(reading, event)
        case Usage():
            reading.usage = event
        case BlockEnd():
            pass
        case _:
            raise AssertionError(event)


def _take_call(reading: Reading, call: ToolCall) -> None:
    assert call.id != "" and call.name != ""
    if call.index == len(reading.calls):
        reading.calls.append((call.id, call.name, call.arguments))
        return
    assert call.index < len(reading.calls), "an index was left out"
    known_id, name, arguments = reading.calls[call.index]
    assert call.id is None or known_id is None, "an id was told twice"
    assert call.name is None or name is None, "a name was told twice"
    reading.calls[call.index] = (known_id or call.id, name or call.name, arguments + call.arguments)


def sse(*data: Any, name: str = "") -> list[tuple[str, bytes]]:
    """Return frames of that data, each an object or text as it is."""
    return [(name, (item if isinstance(item, str) else json.dumps(item)).encode()) for item in data]


def events(*data: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Return frames that are named after their types."""
    return [(str(item["type"]), json.dumps(item).encode()) for item in data]
