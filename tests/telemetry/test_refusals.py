"""The log of refused requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from loguru import logger

from streamserver.telemetry.refusals import INTERVAL_SECONDS, RefusalLog
from tests.conftest import StartServer
from tests.support.client import RawStream, stream_url
from tests.support.clock import FakeClock

BY = ("route", "http_status")
NOT_FOUND: dict[str, Any] = {"event": "request", "route": "", "http_status": 404}
UNAUTHORIZED: dict[str, Any] = {"event": "request", "route": "/api/providers", "http_status": 401}


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """Return the records that are logged, as fields."""
    found: list[dict[str, Any]] = []

    def sink(message: Any) -> None:
        record = message.record
        found.append({"level": record["level"].name, "message": record["message"], **record["extra"]})

    number = logger.add(sink, level="DEBUG")
    yield found
    logger.remove(number)


def at_info(logged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in each.items() if name != "level"} for each in logged if each["level"] == "INFO"
    ]


def test_refusals_are_logged_once_and_then_counted(logged: list[dict[str, Any]]) -> None:
    clock = FakeClock()
    log = RefusalLog(clock)
    for number in range(1000):
        log.log("refused", by=BY, **NOT_FOUND, request_id=f"r{number}")
    log.log("refused", by=BY, **UNAUTHORIZED, request_id="u")
    first = [
        {"message": "refused", **NOT_FOUND, "request_id": "r0"},
        {"message": "refused", **UNAUTHORIZED, "request_id": "u"},
    ]
    assert at_info(logged) == first
    assert len(logged) == 1001, "each is there at DEBUG"
    clock.advance(INTERVAL_SECONDS)
    assert at_info(logged) == [
        *first,
        {"message": "refused, repeatedly", **NOT_FOUND, "count": 999, "seconds": INTERVAL_SECONDS},
    ]


def test_refusal_is_logged_at_once_again_in_the_next_interval(logged: list[dict[str, Any]]) -> None:
    clock = FakeClock()
    log = RefusalLog(clock)
    for _ in range(3):
        log.log("refused", by=BY, **NOT_FOUND)
        clock.advance(INTERVAL_SECONDS)
    assert at_info(logged) == [{"message": "refused", **NOT_FOUND}] * 3
    assert clock.pending == 0, "an idle server sets no timer"


def test_count_is_logged_with_the_next_refusal_when_the_timer_was_lost(logged: list[dict[str, Any]]) -> None:
    class LosesTimers(FakeClock):
        def call_at(self, when: float, callback: object) -> Any:
            pass

    clock = LosesTimers()
    log = RefusalLog(clock)
    for _ in range(5):
        log.log("refused", by=BY, **NOT_FOUND)
    clock.advance(INTERVAL_SECONDS)
    log.log("refused", by=BY, **UNAUTHORIZED)
    assert [(each["message"], each.get("count")) for each in at_info(logged)] == [
        ("refused", None),
        ("refused, repeatedly", 4),
        ("refused", None),
    ]


async def test_server_logs_a_flood_of_refusals_with_few_records_and_counts_each(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server(environ={"STREAMSERVER_KEYS": "anna:key-of-anna"})
    key = {"X-API-Key": "key-of-anna"}
    for _ in range(200):  # clients that leave at once are not refused
        (await RawStream.request(server.port, stream_url(""), headers=key)).close()
    for _ in range(200):
        async with http.get(f"{server.url}/api/providers") as response:
            assert response.status == 401
        async with http.post(f"{server.url}/api/chat/stream", json={}, headers=key) as response:
            assert response.status == 422
    async with http.get(f"{server.url}/metrics", headers=key) as response:
        metrics = await response.text()
    for code in ("unauthorized", "invalid_request"):
        assert f'streamserver_refusals_total{{code="{code}"}} 200.0' in metrics
    server.terminate()
    assert await server.wait() == 0
    seen = [record["http_status"] for record in server.records("request")]
    assert set(seen) == {401, 422}
    assert len(seen) < 20
