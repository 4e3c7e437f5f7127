"""The transport, where the other side is hostile."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from providers._aiohttp import TAKE_BYTES
from providers.transport import HttpRequest, Transport
from tests.conftest import StartUpstream
from tests.support.upstream import Exchange

SIZE = 30_000_000


@pytest.mark.parametrize("compressed", [True, False], ids=["gzip", "plain"])
async def test_a_body_that_is_all_there_lets_other_tasks_run_between_its_reads(
    transport: Transport, start_upstream: StartUpstream, compressed: bool
) -> None:
    body = gzip.compress(b"\n" * SIZE) if compressed else b"\n" * SIZE

    async def script(exchange: Exchange) -> None:
        await exchange.answer(200, body, extra="Content-Encoding: gzip\r\n" if compressed else "")

    upstream = await start_upstream(script)
    response = await transport.send(HttpRequest(f"{upstream.url}/", {}, b"{}"))
    turns, size = _Turns(), 0
    while data := await response.read():
        assert len(data) <= TAKE_BYTES
        size += len(data)
    turns.handle.cancel()
    response.finish()
    assert size == SIZE
    assert turns.count >= SIZE / TAKE_BYTES


class _Turns:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = -1
        self.take()

    def take(self) -> None:
        self.count += 1
        self.handle = asyncio.get_running_loop().call_soon(self.take)
