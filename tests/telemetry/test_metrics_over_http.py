"""The metrics that a server shows."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from streamserver.store import MemoryStore
from streamserver.store.base import ReadableStream
from streamserver.telemetry.metrics import METRICS
from tests.conftest import StartServer, StartUpstream
from tests.support.application import running_app
from tests.support.client import RawStream, get_events, post_events, stream_url
from tests.support.server import ServerProcess
from tests.support.upstream import DONE, Exchange, chunk, usage_chunk

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(http: aiohttp.ClientSession, server: ServerProcess) -> Samples:
    async with http.get(f"{server.url}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = text_string_to_metric_families(await response.text())
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for each in families
            for sample in each.samples
        }


async def until(http: aiohttp.ClientSession, server: ServerProcess, name: str, value: float, **labels: str) -> Samples:
    """Scrape until the sample has the value, because a stream is counted just after its reader has the end."""
    async with asyncio.timeout(60):
        while True:
            samples = await scrape(http, server)
            if samples.get(key(name, **labels)) == value:
                return samples
            await asyncio.sleep(0.01)


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"streamserver_{name}", frozenset(labels.items())


async def test_every_metric_counts_what_it_says(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    async def whole(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("a") + chunk("b") + chunk("c") + chunk(finish="stop") + usage_chunk(7, 3) + DONE)

    async def failing(exchange: Exchange) -> None:
        await exchange.answer(500, "{}")

    async def silent(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("a"))
        await exchange.until_closed(60)

    upstream = await start_upstream(whole)
    server = await start_server(
        {
            "provider": {"default": "up"},
            "providers": {"up": {"kind": "openai", "model": "m", "base_url": f"{upstream.url}/v1"}},
            "retry": {"attempts": 2, "max_wait": 0},
            "limits": {"requests_per_minute": 4},
        }
    )
    up = {"provider": "up", "model": "m"}
    events = await get_events(http, stream_url(server.url))
    await get_events(http, stream_url(server.url), headers={"Last-Event-ID": events[1].id})
    upstream.script = failing
    await get_events(http, stream_url(server.url))
    upstream.script = silent
    stream = await (await RawStream.request(server.port, "/api/chat/stream?prompt=x")).head()
    await stream.events(2)
    samples = await until(http, server, "active_streams", 1)
    assert samples[key("streams_total", outcome="done", code="stop", wire="native", **up)] == 1
    stream.close()
    samples = await until(http, server, "active_streams", 0)
    upstream.script = whole
    await get_events(http, stream_url(server.url))
    async with http.get(stream_url(server.url)) as response:
        assert response.status == 429
    samples = await until(http, server, "streams_total", 2, outcome="done", code="stop", wire="native", **up)
    expected = {
        key("streams_total", outcome="failed", code="upstream_error", wire="native", **up): 1,
        key("streams_total", outcome="cancelled", code="cancelled", wire="native", **up): 1,
        key("ttft_seconds_count", **up): 3,
        key("inter_token_seconds_count", **up): 2,
        key("duration_seconds_count", provider="up", outcome="done"): 2,
        key("tokens_total", type="prompt", source="provider", **up): 14,
        key("tokens_total", type="completion", source="provider", **up): 6,
        key("tokens_total", type="completion", source="estimate", **up): 1,
        key("cancel_seconds_count"): 1,
        key("resumed_total"): 1,
        key("dropped_readers_total"): 0,
        key("limit_hits_total", limit="requests"): 1,
        key("refusals_total", code="rate_limited"): 1,
        key("provider_attempts_total", provider="up"): 5,
        key("provider_failures_total", provider="up", code="upstream_error"): 2,
        key("provider_left_out", provider="up"): 0,
    }
    assert {name: samples.get(name) for name in expected} == expected
    assert samples[key("log_bytes_total")] > 0
    assert samples[key("kept_log_bytes")] == samples[key("log_bytes_total")]
    assert 0 < samples[key("cancel_seconds_sum")] < 1
    present = {name for name, _ in samples}
    for metric in METRICS:
        assert {metric.full_name, f"{metric.full_name}_count"} & present, metric.name


class BrokenStore(MemoryStore):
    """A store with a bug."""

    async def find(self, stream_id: str) -> ReadableStream | None:
        raise ValueError


async def test_refusal_is_counted_when_a_bug_caused_it(http: aiohttp.ClientSession) -> None:
    async with running_app(
        {"provider": {"default": "echo"}, "providers": {"echo": {"kind": "echo"}}}, store=BrokenStore()
    ) as (core, url):
        assert b'streamserver_refusals_total{code="internal"} 0.0' in core.metrics.render(), (
            "a rate needs a zero to begin from"
        )
        async with http.get(f"{url}/api/chat/streams/{'x' * 22}") as response:
            assert response.status == 500
            assert (await response.json())["code"] == "internal"
        assert b'streamserver_refusals_total{code="internal"} 1.0' in core.metrics.render()


async def test_labels_are_never_values_that_a_client_chose(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    hostile = ['x"} 1\nforged_total 1', "a\\", "\u2028", "\U0001f600"] + [f"made-up-{number}" for number in range(50)]
    for model in hostile:
        start, *_ = await post_events(http, server.url, {"prompt": "hi", "model": model})
        assert start.json()["model"] == model
        async with http.get(f"{server.url}/{model}", headers={"X-Request-ID": "forged_total"}):
            pass
    samples = await until(
        http, server, "streams_total", 54, provider="echo", model="other", outcome="done", code="stop", wire="native"
    )
    text = str(samples)
    assert "made-up" not in text and "forged" not in text
    assert {value for _, labels in samples for name, value in labels if name == "model"} == {"other"}


async def test_reader_is_counted_as_dropped_when_it_reads_nothing(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    echo: dict[str, Any] = {"kind": "echo", "delay_ms": 0, "tokens": 400_000}
    server = await start_server(
        {
            "providers": {"echo": echo},
            "server": {"send_timeout_seconds": 0.3},
            "limits": {"max_tokens": 400_000},
            "resume": {"max_log_bytes": 100_000_000},
        }
    )
    stream = await RawStream.request(server.port, "/api/chat/stream?prompt=hello+hello")
    stream.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await until(http, server, "dropped_readers_total", 1)
    stream.close()


async def test_metrics_need_a_key_when_keys_are_configured(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server(environ={"STREAMSERVER_KEYS": "prometheus:its-key"})
    for headers, status in (({}, 401), ({"Authorization": "Bearer its-key"}, 200)):
        async with http.get(f"{server.url}/metrics", headers=headers) as response:
            assert response.status == status


async def test_provider_is_shown_as_left_out_when_it_fails_repeatedly(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    failing = {"kind": "echo", "fail_after": 0, "fail_code": "upstream_unavailable"}
    server = await start_server(
        {
            "provider": {"default": "failing", "fallback": ["echo"]},
            "providers": {"failing": failing, "echo": {"kind": "echo"}},
            "retry": {"attempts": 1},
        }
    )
    for _ in range(3):
        assert (await get_events(http, stream_url(server.url)))[-1].json()["provider"] == "echo"
    samples = await scrape(http, server)
    assert samples[key("provider_left_out", provider="failing")] == 1
    assert samples[key("provider_left_out", provider="echo")] == 0
