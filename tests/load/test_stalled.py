"""A reader that reads nothing and keeps its connection."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.load.readers import descriptors, stalled_readers, until


@pytest.mark.parametrize(
    "kilobytes",
    [
        pytest.param(60, id="all of the answer is in the kernel"),
        pytest.param(240, id="the end of the answer waits for the kernel"),
        pytest.param(900, id="the answer waits for the reader"),
    ],
)
async def test_connection_of_a_stalled_reader_is_cut_wherever_its_answer_waits(
    start_server: StartServer, kilobytes: int
) -> None:
    server = await start_server(
        {
            "server": {"send_timeout_seconds": 1},
            "limits": {"max_prompt_chars": 1_000_000, "max_conversation_chars": 1_000_000},
            "providers": {"flood": {"kind": "echo", "delay_ms": 0, "burst": 100}},
        }
    )
    before = descriptors(server.process.pid)
    async with stalled_readers(server.port, "flood", 3, kilobytes=kilobytes):
        await until(lambda: len(server.records()) == 3, "an ending of every stream")
        await until(lambda: descriptors(server.process.pid) <= before, "every descriptor back")
