"""The listeners of tests: a connection that is accepted while they close is closed too."""

from __future__ import annotations

import asyncio
import gc
import socket

import pytest

from tests.support.relay import Relay, running_relay


class HoldingRelay(Relay):
    """A relay that keeps each connection open, and passes nothing on."""

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("turns", range(7))
async def test_a_relay_closes_a_connection_that_it_accepts_while_it_closes(turns: int) -> None:
    with socket.socket() as client:
        async with running_relay(HoldingRelay()) as relay:
            client.connect(("127.0.0.1", relay.port))
            for _ in range(turns):
                await asyncio.sleep(0)
        gc.collect()  # pytest fails the test if a transport is open still
        assert relay.open == 0
