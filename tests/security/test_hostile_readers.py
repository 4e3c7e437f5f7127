"""Readers that stop reading."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.client import RawStream

TOKENS = 300_000
FLOOD: dict[str, Any] = {
    "providers": {"echo": {"kind": "echo", "delay_ms": 0, "tokens": TOKENS}},
    # Long enough for a reader that reads, on a busy machine.
    "server": {"send_timeout_seconds": 5},
    "limits": {"max_tokens": TOKENS},
    "resume": {"max_log_bytes": 100_000_000},
}


async def whole_body(stream: RawStream) -> bytes:
    """Read the rest of an HTTP/1.0 response, which ends with its connection."""
    async with asyncio.timeout(60):
        return await stream.reader.read()


@pytest.mark.parametrize("half_closed", [False, True])
async def test_stalled_reader_is_dropped_and_can_resume(start_server: StartServer, half_closed: bool) -> None:
    server = await start_server(FLOOD)
    stalled = await RawStream.request(server.port, "/api/chat/stream?prompt=a&grace=60")
    await stalled.head()
    first = await stalled.events(1)
    stalled.writer.transport.pause_reading()  # type: ignore[attr-defined]
    if half_closed:
        stalled.writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
    record = await server.record(stalled.headers["x-stream-id"])
    assert record["status"] == "done", "with a grace the generation continues without a reader"
    stalled.close()
    resumed = await RawStream.request(
        server.port, "/api/chat/stream?prompt=a", headers={"Last-Event-ID": first[-1].id}, version="1.0"
    )
    body = await whole_body(await resumed.head())
    offsets = [int(offset) for offset in re.findall(rb"^id: \S+:(\d+)$", body, re.MULTILINE)]
    assert offsets == list(range(len(first), TOKENS + 2)), "every event once, in order"
    resumed.close()


async def test_stalled_reader_stops_the_generation_when_it_has_no_grace(start_server: StartServer) -> None:
    endless = {"echo": {**FLOOD["providers"]["echo"], "hang_after": TOKENS - 1}}
    server = await start_server({**FLOOD, "providers": endless})
    stalled = await (await RawStream.request(server.port, "/api/chat/stream?prompt=a")).head()
    stalled.writer.transport.pause_reading()  # type: ignore[attr-defined]
    other = await RawStream.request(server.port, "/api/chat/stream?prompt=a&max_tokens=20000", version="1.0")
    await other.head()
    assert b"\nevent: done\n" in await whole_body(other), "other readers are served meanwhile"
    record = await server.record(stalled.headers["x-stream-id"])
    assert record["status"] == "cancelled"
    stalled.close()
    other.close()
