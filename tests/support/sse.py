"""A parser of event streams by the letter of the standard (WHATWG HTML, 9.2.6), independent of the server's code."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DispatchedEvent:
    """A dispatched event. ``id`` is the last event id at that moment."""

    type: str
    data: str
    id: str

    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def offset(self) -> str:
        return self.id.rpartition(":")[2]


@dataclass
class Parser:
    """An incremental parser."""

    last_event_id: str = ""
    retry: int | None = None
    comments: list[str] = field(default_factory=list)
    _buffer: bytes = b""
    _type: str = ""
    _data: list[str] = field(default_factory=list)

    def feed(self, data: bytes) -> list[DispatchedEvent]:
        self._buffer += data
        events = []
        while b"\n" in self._buffer:
            raw, self._buffer = self._buffer.split(b"\n", 1)
            assert b"\r" not in raw, "lines end in LF alone"
            event = self._line(raw.decode("utf-8"))
            if event is not None:
                events.append(event)
        return events

    def _line(self, line: str) -> DispatchedEvent | None:
        if not line:
            event = (
                DispatchedEvent(self._type or "message", "\n".join(self._data), self.last_event_id)
                if self._data
                else None
            )
            self._type, self._data = "", []
            return event
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments.append(value)
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self.last_event_id = value
            case "retry" if value.isdigit():
                self.retry = int(value)
        return None


def parse(data: bytes) -> list[DispatchedEvent]:
    """Return all events of a complete body."""
    return Parser().feed(data)


def text_of(events: list[DispatchedEvent]) -> str:
    """Return the text of all messages."""
    return "".join(event.data for event in events if event.type == "message")
