"""What a client is to do, and what its caller saw. ``tests.clients.client`` has the same for the tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

QUESTION = "What time is it?"
TIMEOUT = 60.0


class Left(Exception):
    """The task was to leave after the first piece of text, and has come to it."""


@dataclass(frozen=True)
class Task:
    client: str
    url: str
    key: str
    model: str
    streamed: bool
    tools: bool
    leave: bool
    retries: int
    timeout: float | None


@dataclass
class Seen:
    version: str = ""
    missing: str | None = None
    pieces: list[str] = field(default_factory=list)
    reasoning: str = ""
    calls: list[dict[str, str]] = field(default_factory=list)
    usage: tuple[int, int] | None = None
    error: dict[str, Any] | None = None

    def hear(self, text: str | None, task: Task) -> None:
        """Note a piece of text, and leave if the task is to leave."""
        if text:
            self.pieces.append(text)
            if task.leave:
                raise Left

    def run_tool(self, arguments: str | dict[str, str]) -> str:
        """Note a call of the tool ``get_time``, and return its result."""
        self.calls.append(json.loads(arguments) if isinstance(arguments, str) else arguments)
        return f"noon in {self.calls[-1]['tz']}"


SCHEMA = {"type": "object", "properties": {"tz": {"type": "string"}}, "required": ["tz"], "additionalProperties": False}
