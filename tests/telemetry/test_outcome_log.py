"""The records of streams that end at about the same time."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from streamserver.core.generation import Outcome
from streamserver.telemetry import record
from streamserver.telemetry.record import OutcomeLog
from tests.conftest import StartServer
from tests.support.client import get_events, stream_url
from tests.telemetry.test_logs import DONE, outcome

STREAMS = 20


def outcomes(count: int) -> list[Outcome]:
    return [outcome(DONE, request_id=f"r-{number}") for number in range(count)]


async def test_records_are_made_once_and_in_order() -> None:
    logged: list[Outcome] = []
    log = OutcomeLog(logged.append)
    ended = outcomes(5)
    for each in ended[:4]:
        log.add(each)
    assert logged[0] is ended[0], "the first does not wait"
    async with asyncio.timeout(60):
        while len(logged) < 4:
            await asyncio.sleep(0.001)
        log.add(ended[4])
        while len(logged) < 5:
            await asyncio.sleep(0.001)
    assert logged == ended


async def test_no_record_waits_once_the_application_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RECORD_WAIT_SECONDS", 3600)
    logged: list[Outcome] = []
    log = OutcomeLog(logged.append)
    running = log.open(None)
    await anext(running)
    ended = outcomes(5)
    for each in ended[:3]:
        log.add(each)
    assert len(logged) == 1
    await anext(running, None)
    assert logged == ended[:3]
    for each in ended[3:]:
        log.add(each)
    assert logged == ended


async def test_each_stream_has_its_record_when_the_server_stops_at_once(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    answers = await asyncio.gather(*(get_events(http, stream_url(server.url)) for _ in range(STREAMS)))
    assert await server.stop() == 0
    ids = sorted(events[0].json()["stream_id"][:6] for events in answers)
    assert sorted(entry["stream_id"] for entry in server.records()) == ids
