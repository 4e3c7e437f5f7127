"""The log records of streams."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextvars import Context, copy_context
from typing import Any

from loguru import logger

from streamserver.core.generation import Outcome
from streamserver.log.records import Done
from streamserver.telemetry.logs import logs_are_set_up
from streamserver.telemetry.tracebacks import log_crash

RECORD_WAIT_SECONDS = 0.05
"""How long the record of a stream may wait for those of others."""
MOST_RECORDS = 100
"""So many are made at once: about 5 ms, and less than the log's output takes without dropping any."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_.:/@+-]{1,128}")


def fields_of(outcome: Outcome) -> dict[str, Any]:
    """Return the fields of the record: those of the wire contract, and the details of the provider's error."""
    terminal, usage = outcome.terminal, outcome.usage
    return {
        "event": "stream",
        "request_id": outcome.request_id,
        "stream_id": outcome.stream_id[:6],
        "user": outcome.key_name or None,
        "wire": outcome.wire,
        "provider": outcome.provider,
        "model": safe_name(outcome.model),
        "status": "done" if isinstance(terminal, Done) else terminal.code,
        "finish_reason": safe_name(terminal.finish_reason) if isinstance(terminal, Done) else None,
        "attempts": outcome.attempt_count,
        "ttft_ms": outcome.ttft_ms,
        "duration_ms": outcome.duration_ms,
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "total_tokens": usage.total_tokens if usage else None,
        "estimated": usage.estimated if usage else None,
        **({"maybe_billed": True} if outcome.maybe_billed else {}),
        **outcome.detail.fields(),
    }


def safe_name(value: str) -> str:
    """Return ``value`` if it is a name. A client or a provider can write any text where a name belongs."""
    return value if _SAFE_NAME.fullmatch(value) else "(not a name)"


def log_outcome(outcome: Outcome) -> None:
    """Log the record of a stream, after the crash if this server is to blame."""
    if outcome.crash is not None:
        log_crash("a generation failed", outcome.crash, request_id=outcome.request_id, provider=outcome.provider)
    fields = fields_of(outcome)
    level = "INFO" if fields["status"] in ("done", "cancelled") else "WARNING"
    # Another application's sink may show the message alone; the one of set_up_logs() shows the fields.
    facts = "" if logs_are_set_up() else _facts(fields)
    logger.log(level, "stream {}{}", fields["status"], facts, **fields)


class OutcomeLog:
    """The records of ended streams, in batches under load.

    A record waits if another was made in the last :data:`RECORD_WAIT_SECONDS`. Made in turn, records take half the CPU
    time that each takes between other work: the caches of the processor have the code. Each is made in the context of
    its own stream, which another application may give to its records.
    """

    def __init__(self, log: Callable[[Outcome], None]) -> None:
        """``log`` makes a record."""
        self._log = log
        self._wait_seconds = RECORD_WAIT_SECONDS
        self._waiting: deque[tuple[Context, Outcome]] = deque()
        self._due_at = 0.0
        """The loop's time from which on a record need not wait."""
        self._scheduled_in: asyncio.AbstractEventLoop | None = None
        """The loop that has a timer for the records that wait."""

    def add(self, outcome: Outcome) -> None:
        """Log ``outcome``, now or soon. To be called in the event loop."""
        loop = asyncio.get_running_loop()
        self._waiting.append((copy_context(), outcome))
        if loop.time() >= self._due_at or len(self._waiting) >= MOST_RECORDS:
            self._log_waiting()
        elif self._scheduled_in is not loop:
            self._scheduled_in = loop
            loop.call_at(self._due_at, self._on_due)

    async def open(self, app: object) -> AsyncIterator[None]:
        """Let no record wait once the application ends, as one of its cleanup contexts."""
        yield
        self._wait_seconds = 0.0
        self._log_waiting()

    def _on_due(self) -> None:
        self._scheduled_in = None
        self._log_waiting()

    def _log_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_at = loop.time() + self._wait_seconds
        try:
            while self._waiting:
                context, outcome = self._waiting.popleft()
                context.run(self._log, outcome)
        finally:
            if self._waiting:  # making one of them has failed
                loop.call_soon(self._log_waiting)


def _facts(fields: dict[str, Any]) -> str:
    told = {name: value for name, value in fields.items() if value is not None and name not in ("event", "status")}
    return "".join(f" {name}={value}" for name, value in told.items())
