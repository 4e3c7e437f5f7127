"""OpenTelemetry: one span for each stream that has ended, by the semantic conventions for generative AI.

A span contains no prompt, no answer, no key and no whole stream id.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from streamserver.core.generation import Outcome
from streamserver.log.records import Done
from streamserver.telemetry.record import safe_name

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

Observer: TypeAlias = Callable[[Outcome], None]

LAST_SECONDS = 5.0
"""How long the end of the server waits until the last spans are sent."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class NoSpans:
    """No spans, where none are configured."""

    def write(self, outcome: Outcome) -> None:
        """Write the span of a stream that has ended."""

    async def open(self, app: object) -> AsyncIterator[None]:
        """Write spans while the application runs, as one of its cleanup contexts."""
        yield


class Spans(NoSpans):
    """Spans for the tracer provider that ``make`` returns.

    ``make`` is called when the application starts, because the provider has a thread, which must not exist before a
    fork. Pending spans are sent when the application ends, because a worker's process skips Python's exit handlers.
    """

    def __init__(self, make: Callable[[], TracerProvider]) -> None:
        self._make = make
        self._write: Observer = super().write

    def write(self, outcome: Outcome) -> None:
        self._write(outcome)

    async def open(self, app: object) -> AsyncIterator[None]:
        provider = self._make()
        self._write = spans_to(provider)
        yield
        await _shut_down(provider)


async def _shut_down(provider: TracerProvider) -> None:
    loop = asyncio.get_running_loop()
    sent = asyncio.Event()

    def send() -> None:
        try:
            provider.shutdown()
        finally:
            with suppress(RuntimeError):  # the event loop has closed
                loop.call_soon_threadsafe(sent.set)

    # A thread of its own: the event loop waits for its executor's threads as it closes, however long they take.
    threading.Thread(target=send, name="last-spans", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_SECONDS):
            await sent.wait()


def spans_for(environ: Mapping[str, str] = os.environ) -> NoSpans:
    """Return spans for the endpoint in OpenTelemetry's own variables; none without one, or without ``[otel]``."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(environ.get(name) for name in _ENDPOINTS):
        return NoSpans()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return NoSpans()

    def make() -> TracerProvider:
        resource = Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME", "streamserver")})
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return provider

    return Spans(make)


def spans_to(provider: TracerProvider) -> Observer:
    """Return a function that writes spans to ``provider``."""
    from opentelemetry.trace import SpanKind, Status, StatusCode

    tracer = provider.get_tracer("streamserver")

    def write(outcome: Outcome) -> None:
        ended = time.time_ns()
        span = tracer.start_span(
            f"chat {safe_name(outcome.asked_model)}",
            kind=SpanKind.CLIENT,
            attributes=attributes_of(outcome),
            start_time=ended - int(outcome.duration_ms * 1e6),
        )
        if not isinstance(outcome.terminal, Done) and outcome.terminal.code != "cancelled":
            span.set_status(Status(StatusCode.ERROR, outcome.terminal.code))
        span.end(ended)

    return write


def attributes_of(outcome: Outcome) -> dict[str, Any]:
    """Return the attributes of a span: ``gen_ai.*`` by the conventions, the rest under ``streamserver.``."""
    terminal, usage = outcome.terminal, outcome.usage
    done = isinstance(terminal, Done)
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": outcome.provider,
        "gen_ai.request.model": safe_name(outcome.asked_model),
        "gen_ai.response.model": safe_name(outcome.model) if done else None,
        "gen_ai.response.finish_reasons": (safe_name(terminal.finish_reason),) if isinstance(terminal, Done) else None,
        "gen_ai.usage.input_tokens": usage.prompt_tokens if usage else None,
        "gen_ai.usage.output_tokens": usage.completion_tokens if usage else None,
        "error.type": None if isinstance(terminal, Done) else terminal.code,
        "streamserver.request_id": outcome.request_id,
        "streamserver.stream": outcome.stream_id[:6],
        "streamserver.user": outcome.key_name or None,
        "streamserver.wire": outcome.wire,
        "streamserver.attempts": outcome.attempt_count,
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": None if outcome.ttft_ms is None else outcome.ttft_ms / 1000,
        "streamserver.usage_estimated": usage.estimated if usage else None,
    }
    return {name: value for name, value in attributes.items() if value is not None}
