"""A process that serves thousands of short streams and prints, as JSON, what it keeps of them in and after their time.

``python -m tests.resume.finished_streams STREAMS [REDIS_URL]``. It is a process of its own since it counts objects and
allocated blocks: in pytest's they are also those of other tests.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections import Counter
from collections.abc import Callable

import aiohttp
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from loguru import logger

from streamserver import Settings, create_app, settings
from streamserver.http.services import SERVICES
from streamserver.redis.store import RedisStore

AT_ONCE = 50
OURS = ("Stream", "MemoryLog", "Generation", "Start", "Done", "_Copy", "RemoteStream", "ClaimHolder", "Claim", "Task")


def settings_with(**resume: object) -> Settings:
    """Return settings of an echo provider without delay, without limits for a user, with ``resume`` in ``[resume]``."""
    return settings(
        {
            "providers": {"echo": {"kind": "echo", "delay_ms": 0}},
            "provider": {"default": "echo"},
            "limits": {"requests_per_minute": 10**9, "max_streams_per_user": 10**6, "max_streams": 10**6},
            "resume": resume,
        }
    )


async def measure_forgotten(streams: int, store: str | None) -> dict[str, object]:
    """Serve ``streams`` streams and return what is there more than before."""
    shared = {"store": store} if store else {}
    app = create_app(settings_with(retention_seconds=0.5, **shared), on_end=lambda _: None)
    # No TestClient: it keeps every response it has had.
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        supervisor, kept = app[SERVICES].supervisor, app[SERVICES].store
        await _ask(http, server, streams // 4)
        await _until(lambda: not supervisor.retained)
        before, blocks = _living(), sys.getallocatedblocks()
        await _ask(http, server, streams)
        await _until(lambda: not supervisor.retained)
        replicated = 0
        if isinstance(kept, RedisStore):
            await _until(lambda: len(kept._replicator) == 0 and not kept._remote_readers.counts)
            replicated = len(kept._replicator) + len(kept._remote_readers.counts) + len(kept._replicas)
        requests = sum(type(each) is web.Request for each in gc.get_objects())
        after = _living()
        return {
            "requests": requests,
            "active": supervisor.active,
            "retained_bytes": supervisor.retained_bytes,
            "replicated": replicated,
            "objects": {name: after[name] - before[name] for name in OURS},
            "blocks": sys.getallocatedblocks() - blocks,
        }


async def measure_retained(streams: int, store: str | None) -> dict[str, object]:
    """Serve ``streams`` streams and return how many objects the garbage collector looks at for each one retained."""
    shared = {"store": store} if store else {}
    app = create_app(settings_with(retention_seconds=3600, **shared), on_end=lambda _: None)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        supervisor = app[SERVICES].supervisor
        await _ask(http, server, 100)
        await _until(lambda: not supervisor.active)
        before, retained = _tracked(), supervisor.retained
        await _ask(http, server, streams)
        await _until(lambda: not supervisor.active)
        return {"tracked": (_tracked() - before) / (supervisor.retained - retained)}


async def measure(streams: int, store: str | None) -> dict[str, object]:
    gc.disable()
    return await measure_forgotten(streams, store) | await measure_retained(streams // 4, store)


def _tracked() -> int:
    gc.collect()
    return len(gc.get_objects())


def _living() -> Counter[str]:
    gc.collect()
    return Counter(name for each in gc.get_objects() if (name := type(each).__name__) in OURS)


async def _ask(http: aiohttp.ClientSession, server: BaseTestServer, count: int) -> None:
    url = server.make_url("/api/chat/stream")

    async def one(number: int) -> None:
        headers = {"Idempotency-Key": f"order-{number:08}"} if number % 2 else {}
        async with http.post(url, json={"prompt": "a b c"}, headers=headers) as response:
            body = await response.read()
            assert response.status == 200 and b"event: done" in body, (response.status, body)

    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(one(number) for number in range(first, first + AT_ONCE)))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    logger.disable("streamserver")  # loguru writes to standard error, where no server has set it up
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))))
