"""A page that reads with the browser's own ``EventSource``, over a network that breaks all the time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.proxy import every, running_proxy
from tests.support.redis import running_redis
from tests.support.server import ServerProcess
from tests.support.upstream import DONE, Exchange, chunk

CUT_SECONDS = 0.35
PIECES = [f"piece {number}, " for number in range(80)]

READ = """(query) => {
    const seen = { text: "", ids: [], opened: 0, broken: 0, done: false };
    window.seen = seen;
    const source = new EventSource("/api/chat/stream?" + query);
    const note = (event) => seen.ids.push(event.lastEventId);
    source.onopen = () => { seen.opened += 1; };
    source.onerror = () => { seen.broken += 1; };
    source.addEventListener("start", note);
    source.addEventListener("message", (event) => { note(event); seen.text += event.data; });
    source.addEventListener("done", (event) => { note(event); seen.done = true; source.close(); });
    source.addEventListener("error", (event) => {
        if (event.data) { note(event); seen.failure = event.data; source.close(); }
    });
}"""


async def slowly(exchange: Exchange) -> None:
    await exchange.start_stream()
    for piece in PIECES:
        await exchange.send(chunk(piece))
        await asyncio.sleep(0.06)
    await exchange.send(chunk(finish="stop") + DONE)


@pytest.mark.parametrize("nodes", [1, 2])
async def test_a_page_shows_the_whole_answer_once_however_often_its_connection_is_cut(
    browser: Browser,
    start_server: StartServer,
    start_upstream: StartUpstream,
    redis_program: str,
    tmp_path: Path,
    nodes: int,
) -> None:
    upstream = await start_upstream(slowly)
    context = await browser.new_context()
    page = await context.new_page()
    async with AsyncExitStack() as stack:
        config: dict[str, Any] = openai_at(upstream)
        if nodes > 1:
            redis = await stack.enter_async_context(running_redis(redis_program, tmp_path / "redis"))
            config["resume"] = {"store": redis.url}
        servers: list[ServerProcess] = [await start_server(config) for _ in range(nodes)]
        proxy = await stack.enter_async_context(running_proxy(*(server.port for server in servers)))
        await page.goto(f"{proxy.url}/healthz")
        await page.evaluate(READ, "prompt=tell&grace=15")
        await page.wait_for_function("window.seen.text", timeout=60_000)
        cutting = asyncio.get_running_loop().create_task(every(CUT_SECONDS, proxy.cut))
        try:
            await page.wait_for_function("window.seen.done || window.seen.failure", timeout=60_000)
        finally:
            cutting.cancel()
        seen = await page.evaluate("window.seen")
    await context.close()
    assert seen["text"] == "".join(PIECES), "all of it, once"
    assert seen["done"] and [each.rpartition(":")[2] for each in seen["ids"]] == [str(n) for n in range(82)]
    assert seen["broken"] >= 3 and seen["opened"] > seen["broken"] - 2, "it was cut, and came back"
    assert len(upstream.exchanges) == 1, "the prompt was sent once"
    print(f"{nodes} node(s): {seen['broken']} cuts seen, {seen['opened']} connections, 0 lost, 0 doubled, 1 prompt")
