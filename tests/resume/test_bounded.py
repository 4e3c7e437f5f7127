"""What is kept is bounded, and goes: thousands of finished streams later the memory is back."""

from __future__ import annotations

import json
import subprocess
import sys
from asyncio import to_thread

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streamserver import create_app
from streamserver.http.services import SERVICES
from tests.redis.conftest import StartRedis, start_redis
from tests.resume.finished_streams import AT_ONCE, settings_with

__all__ = ["start_redis"]

STREAMS = 4_000
"""Enough to tell half an object a stream, which is the bound below, from what a running server allocates anyhow."""


@pytest.mark.parametrize("shared", [False, True], ids=["memory", "redis"])
async def test_finished_streams_keep_little_and_give_their_memory_back(start_redis: StartRedis, shared: bool) -> None:
    store = [(await start_redis()).url] if shared else []
    command = [sys.executable, "-m", "tests.resume.finished_streams", str(STREAMS), *store]
    ran = await to_thread(subprocess.run, command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    kept = json.loads(ran.stdout)
    assert kept["active"] == kept["retained_bytes"] == kept["replicated"] == 0
    assert all(more <= 5 for more in kept["objects"].values()), kept["objects"]
    assert kept["requests"] <= 2 * AT_ONCE, "a request waits for the garbage collector"
    # The stream, its log, two lists, and what replicates it: a full collection stops the server for all of them.
    assert kept["tracked"] <= 9, "a retained stream has many objects"
    # The limits keep the time of each start, for a minute; over Redis not even that is here.
    limits = 0 if shared else STREAMS
    assert kept["blocks"] < limits + STREAMS / 2, "something is kept of each stream"


async def test_the_oldest_finished_go_first_when_all_kept_streams_are_too_large() -> None:
    app = create_app(settings_with(max_total_bytes=20_000), on_end=lambda _: None)
    async with TestClient(TestServer(app)) as client:
        ids = []
        for _ in range(100):
            async with client.post("/api/chat/stream", json={"prompt": "a b c"}) as response:
                ids.append(response.headers["X-Stream-ID"])
                await response.read()
        supervisor = app[SERVICES].supervisor
        assert 0 < supervisor.retained_bytes <= 20_000
        kept = [(await client.get(f"/api/chat/streams/{stream_id}")).status == 200 for stream_id in ids]
        assert kept == sorted(kept) and True in kept and False in kept, "the oldest are gone, the newest are there"
        assert supervisor.retained == kept.count(True)
