"""A rolling restart of two nodes behind a proxy, under load."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import aiohttp

from tests.redis.conftest import StartNode
from tests.support.proxy import running_proxy
from tests.support.server import ServerProcess
from tests.support.sse import DispatchedEvent, Parser, text_of

READERS = 30
PROMPT = " ".join(f"word{number}" for number in range(60))


@dataclass
class RollingClients:
    """Clients that repeat their requests, as an ``EventSource`` or a careful client does."""

    url: str
    streams: list[list[DispatchedEvent]] = field(default_factory=list)
    refused: int = 0
    broken: int = 0
    over: bool = False

    async def ask_on(self, name: int) -> None:
        count = 0
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as http:
            while not self.over:
                count += 1
                self.streams.append(await self._ask(http, f"reader-{name:04}-{count:04}"))

    async def _ask(self, http: aiohttp.ClientSession, key: str) -> list[DispatchedEvent]:
        events: list[DispatchedEvent] = []
        parser = Parser()
        while not events or events[-1].type not in ("done", "error"):
            headers = {"Last-Event-ID": events[-1].id} if events else {"Idempotency-Key": key}
            body = {"prompt": PROMPT, "grace": 10}
            try:
                async with http.post(f"{self.url}/api/chat/stream", json=body, headers=headers) as response:
                    if response.status == 503:
                        self.refused += 1
                        await asyncio.sleep(0.1)
                        continue
                    assert response.status == 200, await response.text()
                    parser = Parser(last_event_id=parser.last_event_id)
                    async for data in response.content.iter_any():
                        events += [event for event in parser.feed(data) if event.type != "ping"]
            except aiohttp.ClientError:
                self.broken += 1
                await asyncio.sleep(0.1)
        return events


async def test_a_rolling_restart_ends_no_stream_early_and_loses_no_token(start_node: StartNode) -> None:
    echo = {"providers": {"echo": {"kind": "echo", "delay_ms": 15}}, "server": {"drain_seconds": 30}}
    nodes: list[ServerProcess] = [await start_node(echo) for _ in range(2)]
    everyone = list(nodes)
    async with running_proxy(*(node.port for node in nodes)) as proxy:
        load = RollingClients(proxy.url)
        people = [asyncio.get_running_loop().create_task(load.ask_on(number)) for number in range(READERS)]
        for number in range(2):
            served = len(load.streams)
            async with asyncio.timeout(60):
                while len(load.streams) < served + READERS:
                    await asyncio.sleep(0.02)
            old = nodes[number]
            old.terminate()
            assert await old.wait() == 0
            nodes[number] = await start_node(echo)
            everyone.append(nodes[number])
            proxy.targets[number] = nodes[number].port
        load.over = True
        await asyncio.gather(*people)
    for events in load.streams:
        assert [event.offset for event in events] == [str(n) for n in range(len(events))], "none lost, none doubled"
        assert events[-1].type == "done", events[-1].data
        assert text_of(events) == PROMPT
    started = {events[0].json()["stream_id"] for events in load.streams}
    async with asyncio.timeout(60):
        while len(records := [record for node in everyone for record in node.records()]) < len(started):
            await asyncio.sleep(0.02)
    assert len(records) == len(started) == len(load.streams), "each prompt was sent once"
    assert {record["status"] for record in records} == {"done"}
    assert load.refused, "it was under load while it drained"
    print(
        f"{len(load.streams)} streams, {sum(map(len, load.streams))} events, 0 lost, 0 doubled, "
        f"{len(records)} prompts sent, {load.refused} starts refused and repeated, {load.broken} connections broken"
    )
