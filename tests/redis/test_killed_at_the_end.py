"""A node is killed just as its streams end: no reader was told another ending than the others get."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.conftest import openai_at
from tests.redis.asking import STREAMS, attach, create
from tests.redis.conftest import StartNode
from tests.support.client import RawStream, get_events
from tests.support.proxy import Proxy, running_proxy
from tests.support.redis import RedisProcess
from tests.support.server import ServerProcess
from tests.support.sse import parse
from tests.support.upstream import DONE, Exchange, Upstream, chunk

STREAM_COUNT = 8


@pytest.mark.parametrize("way", ["free", "stalled"])
async def test_an_ending_that_a_reader_was_told_survives_the_node_that_told_it(
    start_node: StartNode, upstream: Upstream, redis: RedisProcess, http: aiohttp.ClientSession, way: str
) -> None:
    """The way from the node to Redis is free, or stalls as the streams end."""
    end = asyncio.Event()

    async def answer_then_end(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("hello "))
        await end.wait()
        await exchange.send(chunk(finish="stop") + DONE)

    upstream.script = answer_then_end
    async with running_proxy(redis.port) as cable:
        url = f"redis://127.0.0.1:{cable.port}/0"
        producer, other = await asyncio.gather(
            *(start_node(openai_at(upstream), url=address, grace_seconds=30) for address in (url, redis.url))
        )
        told, elsewhere = await kill_at_the_end(producer, other, cable, end, http, stall=way == "stalled")
    differing = [here for here, there in zip(told, elsewhere, strict=True) if here is not None and here != there]
    print(f"{len(told) - told.count(None)} told by the killed node, {len(differing)} told otherwise elsewhere")
    assert not differing


async def kill_at_the_end(
    producer: ServerProcess,
    other: ServerProcess,
    cable: Proxy,
    end: asyncio.Event,
    http: aiohttp.ClientSession,
    *,
    stall: bool,
) -> tuple[list[str | None], list[str]]:
    """Return the types of the terminal events that readers got at the killed node, and later at the other one."""
    streams = [await create(http, producer) for _ in range(STREAM_COUNT)]
    readers = [await attach(producer, stream_id) for stream_id in streams]
    for reader in readers:
        await reader.events(2)
    if stall:
        cable.hold()
    end.set()
    reading = [asyncio.get_running_loop().create_task(rest_of(reader)) for reader in readers]
    await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED, timeout=1.0)
    producer.process.kill()
    told = await asyncio.gather(*reading)
    cable.cut()
    elsewhere = [
        (await get_events(http, f"{other.url}{STREAMS}/{stream_id}", headers={"Last-Event-ID": f"{stream_id}:0"}))[-1]
        for stream_id in streams
    ]
    return told, [event.type for event in elsewhere]


async def rest_of(reader: RawStream) -> str | None:
    """Return the type of the terminal event, None if the connection was cut before it."""
    try:
        async with asyncio.timeout(60):
            await reader.events()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        reader.close()
    events = parse(reader.raw)
    return events[-1].type if events and events[-1].type in ("done", "error") else None
