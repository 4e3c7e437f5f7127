"""The seam to the network, where the other side is hostile."""

from __future__ import annotations

import asyncio
import gzip

from providers.transport import HttpRequest, Transport
from tests.conftest import StartUpstream
from tests.support.upstream import Exchange

MEGABYTES = 30


async def test_an_answer_that_is_all_there_leaves_the_loop_to_others(
    transport: Transport, start_upstream: StartUpstream
) -> None:
    """A compressed body is megabytes for a packet: read without a pause it kept every other stream waiting."""
    body = gzip.compress(b"\n" * MEGABYTES * 1_000_000)

    async def compressed(exchange: Exchange) -> None:
        await exchange.answer(200, body, extra="Content-Encoding: gzip\r\n")

    upstream = await start_upstream(compressed)
    response = await transport.send(HttpRequest(f"{upstream.url}/", {}, b"{}"))
    turns, size = _Turns(), 0
    while data := await response.read():
        size += len(data)
    turns.handle.cancel()
    response.finish()
    assert size == MEGABYTES * 1_000_000
    assert turns.count > MEGABYTES, "others had their turns"


class _Turns:
    """Counts those of the loop."""

    def __init__(self) -> None:
        self.count = -1
        self.take()

    def take(self) -> None:
        self.count += 1
        self.handle = asyncio.get_running_loop().call_soon(self.take)
