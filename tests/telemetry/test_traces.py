"""The spans of streams."""

from __future__ import annotations

import asyncio
import threading

import aiohttp
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from streamserver import create_app, settings
from streamserver.core.error_codes import failed
from streamserver.log.records import Done
from streamserver.telemetry import traces
from streamserver.telemetry.traces import NoSpans, attributes_of, spans_for, spans_to
from tests.conftest import StartUpstream
from tests.support.application import running_app
from tests.support.client import get_events, stream_url
from tests.support.upstream import Exchange
from tests.telemetry.test_logs import DONE, outcome


async def take(exchange: Exchange) -> None:
    await exchange.answer(200, b"", content_type="application/x-protobuf")


def test_every_ending_is_one_span_with_the_conventions_names() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    write = spans_to(provider)
    write(outcome(DONE))
    write(outcome(failed("overloaded", request_id="r-1")))
    write(outcome(failed("cancelled", request_id="r-1")))
    done, broken, cancelled = exporter.get_finished_spans()
    assert (done.name, done.kind) == ("chat m", SpanKind.CLIENT)
    assert done.attributes is not None
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "echo",
        "gen_ai.request.model": "m",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
    }
    assert {name: done.attributes[name] for name in expected} == expected
    assert done.end_time is not None and done.start_time is not None
    assert done.end_time - done.start_time == 20_000_000
    assert broken.attributes is not None and broken.attributes["error.type"] == "overloaded"
    assert broken.status.status_code is StatusCode.ERROR
    assert cancelled.status.status_code is StatusCode.UNSET, "a cancelled stream has not failed"


def test_span_has_no_whole_stream_id() -> None:
    assert "0123456789abcdef" not in str(attributes_of(outcome(DONE)))


def test_span_leaves_out_free_words_where_a_name_belongs() -> None:
    words = "my prompt, put into model"
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    terminal = Done(words, "echo", words, None, 1.5, 20.0)
    spans_to(provider)(outcome(terminal, asked_model=words, model=words))
    spans_to(provider)(outcome(terminal, asked_model="m" * 129, model="m" * 129))
    for span in exporter.get_finished_spans():
        assert span.attributes is not None
        said = f"{span.name} {dict(span.attributes)}"
        assert "prompt," not in said and "m" * 129 not in said
        assert span.name == "chat (not a name)"
        assert span.attributes["gen_ai.request.model"] == "(not a name)"


def test_traces_make_no_spans_when_unconfigured() -> None:
    assert type(spans_for({})) is NoSpans
    disabled = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}
    assert type(spans_for(disabled)) is NoSpans


async def test_the_last_spans_are_sent_as_the_application_ends(
    start_upstream: StartUpstream, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = await start_upstream(take)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    async with running_app({"provider": {"default": "echo"}, "providers": {"echo": {"kind": "echo"}}}) as (_, url):
        events = await get_events(http, stream_url(url))
        assert collector.exchanges == [], "they go in batches"
    (exchange,) = collector.exchanges
    assert exchange.path == "/v1/traces"
    assert events[0].json()["stream_id"][:6].encode() in exchange.body


async def test_application_ends_when_the_collector_does_not_answer(
    start_upstream: StartUpstream, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, enough = asyncio.Event(), asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        asked.set()
        await enough.wait()
        await take(exchange)

    collector = await start_upstream(hang)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    monkeypatch.setattr(traces, "LAST_SECONDS", 0.2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    async with asyncio.timeout(60):
        async with running_app({"provider": {"default": "echo"}, "providers": {"echo": {"kind": "echo"}}}) as (_, url):
            await get_events(http, stream_url(url))
        await asked.wait()
    enough.set()
    for thread in threading.enumerate():  # it must say nothing into other tests
        if thread.name == "last-spans":
            await asyncio.to_thread(thread.join, 60)
            assert not thread.is_alive()


def test_an_application_that_does_not_run_has_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that keeps the workers makes one, and forks."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    before = set(threading.enumerate())
    create_app(settings({"provider": {"default": "echo"}, "providers": {"echo": {"kind": "echo"}}}))
    assert set(threading.enumerate()) == before
