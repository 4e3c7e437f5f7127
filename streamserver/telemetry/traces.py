"""OpenTelemetry: a span a stream, by the conventions for generative AI, written when it has ended.

Nothing anybody said is in it, no key, and no whole stream id.
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
from streamserver.telemetry.record import only_name

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

Observer: TypeAlias = Callable[[Outcome], None]

LAST_SECONDS = 5.0
"""How long the end of the server waits for the last spans to be taken."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class NoSpans:
    """Where nobody wants spans."""

    def write(self, outcome: Outcome) -> None:
        """The span of a stream that has ended."""

    async def open(self, app: object) -> AsyncIterator[None]:
        """Write spans while the application runs: one of its cleanup contexts."""
        yield


class Spans(NoSpans):
    """Spans to the provider that ``make`` makes.

    It is made when the application starts, not before: it has a thread, which a process that forks must not have. What
    it has not sent when the application ends it sends then: a worker's process ends without Python's own exit.
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
            with suppress(RuntimeError):  # the event loop did not wait so long
                loop.call_soon_threadsafe(sent.set)

    # Not one of the event loop's own threads: it waits for those as it closes, however long they take.
    threading.Thread(target=send, name="last-spans", daemon=True).start()
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_SECONDS):
            await sent.wait()


def spans_for(environ: Mapping[str, str] = os.environ) -> NoSpans:
    """Spans to where OpenTelemetry's own variables say; none if they say nothing, or ``[otel]`` is not installed."""
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
    """Spans to ``provider``."""
    from opentelemetry.trace import SpanKind, Status, StatusCode

    tracer = provider.get_tracer("streamserver")

    def write(outcome: Outcome) -> None:
        ended = time.time_ns()
        span = tracer.start_span(
            f"chat {only_name(outcome.asked_model)}",
            kind=SpanKind.CLIENT,
            attributes=attributes_of(outcome),
            start_time=ended - int(outcome.duration_ms * 1e6),
        )
        if not isinstance(outcome.terminal, Done) and outcome.terminal.code != "cancelled":
            span.set_status(Status(StatusCode.ERROR, outcome.terminal.code))
        span.end(ended)

    return write


def attributes_of(outcome: Outcome) -> dict[str, Any]:
    """The span's attributes: ``gen_ai.*`` as the conventions have them, the rest under ``streamserver.``."""
    terminal, usage = outcome.terminal, outcome.usage
    done = isinstance(terminal, Done)
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": outcome.provider,
        "gen_ai.request.model": only_name(outcome.asked_model),
        "gen_ai.response.model": only_name(outcome.model) if done else None,
        "gen_ai.response.finish_reasons": (only_name(terminal.finish_reason),) if isinstance(terminal, Done) else None,
        "gen_ai.usage.input_tokens": usage.prompt_tokens if usage else None,
        "gen_ai.usage.output_tokens": usage.completion_tokens if usage else None,
        "error.type": None if isinstance(terminal, Done) else terminal.code,
        "streamserver.request_id": outcome.request_id,
        "streamserver.stream": outcome.stream_id[:6],
        "streamserver.user": outcome.user or None,
        "streamserver.wire": outcome.wire,
        "streamserver.attempts": outcome.attempts,
        "gen_ai.request.stream": True,
        "gen_ai.response.time_to_first_chunk": None if outcome.ttft_ms is None else outcome.ttft_ms / 1000,
        "streamserver.usage_estimated": usage.estimated if usage else None,
    }
    return {name: value for name, value in attributes.items() if value is not None}
