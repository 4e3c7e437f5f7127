"""Whether one reader got what it was promised: every event once, in order, and one ending.

No I/O: what came over however many connections is fed in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import msgspec

PIECES = frozenset({"message", "reasoning", "tool_call"})
"""The events that carry a token."""


class _Blocks:
    """Event streams cut into blocks, a block into its fields (WHATWG HTML, 9.2.6)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[str, str | None, str]]:
        """Return of each complete block its event's type, its id if it has one, and its data."""
        data = self._rest + data.replace(b"\r\n", b"\n") if b"\r" in data else self._rest + data
        *blocks, self._rest = data.split(b"\n\n")
        return [_fields(block.decode("utf-8", "replace")) for block in blocks]

    def forget(self) -> None:
        """Drop what a cut connection had not completed: it was never dispatched."""
        self._rest = b""


def _fields(block: str) -> tuple[str, str | None, str]:
    kind, event_id, data = "message", None, []
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "id":
            event_id = value
        elif name == "event":
            kind = value
    return kind, event_id, "\n".join(data)


class Check(ABC):
    """One stream, as its reader saw it. ``expected`` is the whole text, where it is known."""

    def __init__(self, expected: str | None = None) -> None:
        self.tokens = 0
        """Distinct ones, so far."""
        self.lost = 0
        self.doubled = 0
        self.broken: list[str] = []
        """Promises broken, beside lost and doubled tokens."""
        self.ending: str | None = None
        """``done``, an error's code, or None while there was no terminal event."""
        self._blocks = _Blocks()
        self._expected = expected
        self._text: list[str] = []

    def feed(self, data: bytes) -> int:
        """Take bytes of the body. Return how many tokens they completed."""
        before = self.tokens
        for kind, event_id, payload in self._blocks.feed(data):
            self._event(kind, event_id, payload)
        return self.tokens - before

    def end(self) -> None:
        """Handle the end of the body."""
        if self.ending is None:
            self.broken.append("truncated: no terminal event")
        elif self.ending == "done" and self._expected is not None and "".join(self._text) != self._expected:
            self.broken.append("the text is not the one that was sent")

    @abstractmethod
    def _event(self, kind: str, event_id: str | None, payload: str) -> None: ...

    def _token(self, text: str) -> None:
        self.tokens += 1
        if self._expected is not None:
            self._text.append(text)


class NativeCheck(Check):
    """The native API: ids rise by one from 0, across any number of connections."""

    def __init__(self, expected: str | None = None) -> None:
        super().__init__(expected)
        self.stream_id = ""
        self.last_event_id = ""
        self._next = 0

    def reconnect(self) -> None:
        """Continue with another connection."""
        self._blocks.forget()

    def _event(self, kind: str, event_id: str | None, payload: str) -> None:
        if kind == "ping":
            return
        if self.ending is not None:
            self.broken.append(f"a {kind} event after the ending")
            return
        if event_id is None:
            self.broken.append(f"a {kind} event without an id")
            return
        if not self._in_order(kind, event_id):
            return
        self.last_event_id = event_id
        if kind in PIECES:
            self._token(payload)
        elif kind == "done":
            self.ending = "done"
        elif kind == "error":
            self.ending = str(_json(payload).get("code"))

    def _in_order(self, kind: str, event_id: str) -> bool:
        """Return whether the event is new; what is missing before it is lost."""
        stream_id, _, number = event_id.rpartition(":")
        if not self.stream_id:
            self.stream_id = stream_id
            if kind not in ("start", "error"):
                self.broken.append(f"the first event is {kind}")
        if stream_id != self.stream_id:
            self.broken.append("an event of another stream")
            return False
        if number == "end":
            return True
        offset = int(number) if number.isdecimal() else -1
        if offset < self._next:
            self.doubled += 1
            return False
        self.lost += offset - self._next
        self._next = offset + 1
        return True


class WireCheck(Check):
    """A wire without positions: lost tokens show only where the whole text is known."""

    def _event(self, kind: str, event_id: str | None, payload: str) -> None:
        if payload and self.ending is not None:
            self.broken.append("an event after the ending")
        elif payload:
            self._payload(payload)

    @abstractmethod
    def _payload(self, payload: str) -> None: ...

    def _fail(self, error: Any) -> None:
        self.ending = str(error.get("code") or error.get("type")) if isinstance(error, dict) else "error"


class ChatCheck(WireCheck):
    """OpenAI's chat completions: a finish reason, then ``[DONE]``."""

    _finished = False

    def _payload(self, payload: str) -> None:
        if payload == "[DONE]":
            if not self._finished:
                self.broken.append("[DONE] without a finish reason")
            self.ending = "done"
            return
        chunk = _json(payload)
        if error := chunk.get("error"):
            self._fail(error)
            return
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if any(delta.get(name) for name in ("content", "reasoning_content", "tool_calls")):
                self._token(delta.get("content") or "")
            self._finished = self._finished or choice.get("finish_reason") is not None


class MessagesCheck(WireCheck):
    """Anthropic's Messages: a stop reason, then ``message_stop``."""

    _stopped = False

    def _payload(self, payload: str) -> None:
        event = _json(payload)
        match event.get("type"):
            case "content_block_delta":
                self._token(event.get("delta", {}).get("text") or "")
            case "message_delta":
                self._stopped = event.get("delta", {}).get("stop_reason") is not None
            case "message_stop":
                if not self._stopped:
                    self.broken.append("message_stop without a stop reason")
                self.ending = "done"
            case "error":
                self._fail(event.get("error"))


class ResponsesCheck(WireCheck):
    """OpenAI's Responses: ``response.completed``, or another terminal event.

    A failure is an ``error`` event, which has the code, and then ``response.failed``; either may come alone.
    """

    _error: Any = None

    def end(self) -> None:
        if self.ending is None and self._error is not None:
            self._fail(self._error)
        super().end()

    def _payload(self, payload: str) -> None:
        event = _json(payload)
        match event.get("type"):
            case "response.output_text.delta":
                self._token(event.get("delta") or "")
            case "response.completed" | "response.incomplete":
                self.ending = "done"
            case "response.failed":
                response = event.get("response", {})
                self._fail(self._error or response.get("error") or {"code": response.get("status")})
            case "error":
                self._error = event


def _json(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}
