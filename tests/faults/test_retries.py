"""Retries through a real server: how often the provider is asked, and what the record says of it."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.faults.openai_streams import ANSWER, HEL
from tests.faults.upstreams import answers, breaks_off, cut, hold, reset, said, streams
from tests.support.client import RawStream, get_events, stream_url
from tests.support.sse import text_of
from tests.support.upstream import DONE, Exchange, Script, chunk

GOOD = streams(ANSWER)
OVERLOADED = 'data: {"error": {"type": "overloaded_error", "message": "x"}}\n\n'
BROKEN = chunk("", finish="error")
AT_ONCE: dict[str, Any] = {"Retry_After": "0"}


def one_after_another(*scripts: Script) -> Script:
    """Return a script that answers with each of them in turn; the last is for all requests that follow."""
    left = list(scripts)

    async def script(exchange: Exchange) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(exchange)

    return script


ROWS: dict[str, tuple[Script, str, dict[str, Any]]] = {
    # how the provider does: how it ends, what the record says
    "reset, reset, answer": (
        one_after_another(breaks_off(), breaks_off(), GOOD), "done", {"attempts": 3, "maybe_billed": True}),
    "500, 529, answer": (
        one_after_another(answers(500, **AT_ONCE), answers(529, **AT_ONCE), GOOD), "done",
        {"attempts": 3, "maybe_billed": None}),
    "429, reset, 503": (
        one_after_another(answers(429, **AT_ONCE), breaks_off(), answers(503)), "overloaded",
        {"attempts": 3, "maybe_billed": True, "upstream_status": 503}),
    "overloaded in the stream, answer": (
        one_after_another(streams(OVERLOADED, then=hold), GOOD), "done", {"attempts": 2, "maybe_billed": None}),
    "a generation that broke off before a token, answer": (
        one_after_another(streams(BROKEN, DONE), GOOD), "done", {"attempts": 2, "maybe_billed": None}),
    "a generation that breaks off before a token each time": (
        streams(BROKEN, DONE), "upstream_error",
        {"attempts": 3, "upstream_status": 200, "upstream_reason": "broken_off", "upstream_code": "error"}),
    "a generation that broke off after a token": (
        streams(HEL, BROKEN, DONE), "upstream_error", {"attempts": 1, "upstream_reason": "broken_off"}),
    "a wait in the body": (
        one_after_another(answers(429, said("requests", "Please try again in 10ms.", "rate_limit_exceeded")), GOOD),
        "done", {"attempts": 2}),
    "a wait in the body for longer than max_wait": (
        answers(429, said("requests", "Please try again in 1m26.4s.", "rate_limit_exceeded")), "rate_limited",
        {"attempts": 1}),
    "429 without money": (
        answers(429, said("insufficient_quota", "x", "insufficient_quota")), "quota_exceeded", {"attempts": 1}),
    "429 for longer than max_wait": (answers(429, Retry_After="60"), "rate_limited", {"attempts": 1}),
    "400": (answers(400, said("invalid_request_error", "x")), "invalid_request", {"attempts": 1}),
    "an answer cut before its first token": (
        streams(then=cut), "upstream_disconnected", {"attempts": 1, "maybe_billed": None}),
    "an answer cut after it": (
        streams(HEL, then=reset), "upstream_disconnected", {"attempts": 1, "maybe_billed": None}),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_record_counts_the_attempts(
    start_server: StartServer,
    start_upstream: StartUpstream,
    http: aiohttp.ClientSession,
    row: tuple[Script, str, dict[str, Any]],
) -> None:
    script, ends, expected = row
    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    events = await get_events(http, stream_url(server.url))
    assert [event.type for event in events if event.type in ("done", "error")] == [events[-1].type]
    if ends == "done":
        assert text_of(events) == "Hello"
    record = await server.record()
    assert {"status": record["status"], **{name: record.get(name) for name in expected}} == {"status": ends, **expected}
    assert len(upstream.exchanges) == record["attempts"]
    assert len({exchange.body for exchange in upstream.exchanges}) == 1
    await upstream.all_closed()


async def test_wait_for_the_next_attempt_ends_when_the_reader_leaves(
    start_server: StartServer, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(answers(429, Retry_After="100"))
    server = await start_server({**openai_at(upstream), "retry": {"max_wait": 600}})
    reader = await RawStream.request(server.port, "/api/chat/stream?prompt=x")
    await reader.head()
    await upstream.exchange()
    await upstream.all_closed()
    reader.close()
    record = await server.record()
    assert record["status"] == "cancelled" and record["attempts"] == 1
    assert len(upstream.exchanges) == 1
