"""The records of streams that end at about the same time."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context

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


async def test_record_is_made_in_the_context_of_its_stream() -> None:
    tenant = ContextVar("tenant", default="")
    seen: list[tuple[str, str]] = []
    log = OutcomeLog(lambda ended: seen.append((ended.request_id, tenant.get())))
    ended = outcomes(3)
    for number, each in enumerate(ended):
        context = copy_context()
        context.run(tenant.set, f"tenant {number}")
        context.run(log.add, each)
    async with asyncio.timeout(60):
        while len(seen) < 3:
            await asyncio.sleep(0.001)
    assert seen == [(f"r-{number}", f"tenant {number}") for number in range(3)]


async def test_record_that_fails_takes_no_other_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RECORD_WAIT_SECONDS", 3600)
    logged: list[str] = []

    def make(ended: Outcome) -> None:
        logged.append(ended.request_id)
        if ended.request_id == "r-1":
            raise ValueError

    log = OutcomeLog(make)
    running = log.open(None)
    await anext(running)
    for each in outcomes(4):
        log.add(each)
    with pytest.raises(ValueError):
        await anext(running, None)
    await asyncio.sleep(0)
    assert logged == ["r-0", "r-1", "r-2", "r-3"]


async def test_most_records_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RECORD_WAIT_SECONDS", 3600)
    logged: list[Outcome] = []
    log = OutcomeLog(logged.append)
    ended = outcomes(2 * record.MOST_RECORDS)
    for each in ended:
        log.add(each)
    assert len(logged) == 1 + record.MOST_RECORDS


def test_records_are_made_in_another_event_loop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RECORD_WAIT_SECONDS", 0.5)
    logged: list[Outcome] = []
    log = OutcomeLog(logged.append)
    ended = outcomes(3)

    async def add(*some: Outcome) -> None:
        for each in some:
            log.add(each)

    async def add_and_wait(*some: Outcome) -> None:
        await add(*some)
        async with asyncio.timeout(60):
            while len(logged) < len(ended):
                await asyncio.sleep(0.001)

    asyncio.run(add(*ended[:2]))
    asyncio.run(add_and_wait(*ended[2:]))
    assert logged == ended


async def test_each_stream_has_its_record_when_the_server_stops_at_once(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    answers = await asyncio.gather(*(get_events(http, stream_url(server.url)) for _ in range(STREAMS)))
    assert await server.stop() == 0
    ids = sorted(events[0].json()["stream_id"][:6] for events in answers)
    assert sorted(entry["stream_id"] for entry in server.records()) == ids
