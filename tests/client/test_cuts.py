"""A short stream, cut at every byte."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.client.relay import Fault, FaultKind, running_fault_relay
from tests.client.runtimes import Runtime, Seen, Task
from tests.client.schedules import running_bench
from tests.support.client import post_events
from tests.support.upstream import DONE, Exchange, chunk

PIECES = ("Hé\n", "\nyou", "€𝄞")
AT_ONCE = 8


class CountingProvider:
    """A provider that answers at once, and counts how often each prompt is asked."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    async def script(self, exchange: Exchange) -> None:
        prompt = exchange.json()["messages"][-1]["content"]
        self.asked[prompt] = self.asked.get(prompt, 0) + 1
        await exchange.start_stream()
        await exchange.send("".join(map(chunk, PIECES)) + chunk(finish="stop") + DONE)


@pytest.mark.parametrize(("runtime", "kind"), [("python", "close"), ("node", "cut")], indirect=["runtime"])
async def test_an_answer_arrives_once_when_its_connection_breaks_at_any_byte(
    runtime: Runtime, kind: FaultKind, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    provider = CountingProvider()
    async with running_bench(tmp_path, seed=0, script=provider.script) as bench:
        port = bench.ports[0]
        async with running_fault_relay(port) as relay:
            await post_events(http, relay.url, {"prompt": "how long is it"})
            size = relay.received
        seen: dict[int, Seen] = {}

        async def cut_at(after: int) -> None:
            async with running_fault_relay(port, faults=[Fault(kind, after)]) as relay:
                seen[after] = await runtime.observe(Task(relay.url, f"cut {after}"))

        places = iter(range(size))

        async def work() -> None:
            for after in places:
                await cut_at(after)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
    assert size > 600, "the headers, the events and the chunks around them"
    assert {after: each.text for after, each in seen.items() if each.text != "".join(PIECES)} == {}
    assert {each.ending for each in seen.values()} == {"end"}
    assert {tuple(each.types) for each in seen.values()} == {("start", "text", "text", "text", "done")}
    assert {prompt: count for prompt, count in provider.asked.items() if count != 1} == {}
