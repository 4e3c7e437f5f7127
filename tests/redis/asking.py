"""What tests ask of nodes that share a store."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from redis.asyncio import Redis

from streamserver.redis.keys import log_key
from tests.conftest import openai_at
from tests.redis.conftest import StartNode
from tests.support.client import RawStream
from tests.support.redis import RedisProcess
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream

STREAMS = "/api/chat/streams"
BODY = {"prompt": "hello big world"}


async def two(start_node: StartNode, upstream: Upstream, **resume: Any) -> tuple[ServerProcess, ServerProcess]:
    first, second = await asyncio.gather(*(start_node(openai_at(upstream), **resume) for _ in range(2)))
    return first, second


async def create(
    http: aiohttp.ClientSession, server: ServerProcess, body: Any = BODY, *, status: int = 201, **options: Any
) -> str:
    async with http.post(server.url + STREAMS, json=body, **options) as response:
        assert response.status == status, await response.text()
        return str((await response.json())["stream_id"])


async def attach(server: ServerProcess, stream_id: str, position: int | None = None) -> RawStream:
    headers = {} if position is None else {"Last-Event-ID": f"{stream_id}:{position}"}
    return await (await RawStream.request(server.port, f"{STREAMS}/{stream_id}", headers=headers)).head()


async def until_stored(redis: RedisProcess, stream_id: str, records: int) -> None:
    """Wait until so much of a stream can be read by other nodes."""
    async with asyncio.timeout(60), Redis.from_url(redis.url) as client:
        while True:
            last: Any = await client.xrevrange(log_key(stream_id), count=1)
            if last and int(last[0][0].partition(b"-")[0]) >= records:
                return
            await asyncio.sleep(0.01)
