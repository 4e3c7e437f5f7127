"""What reaches a browser: each piece at once, each once, over a network that breaks, at any path."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Page, expect

from streamserver.app import create_app
from streamserver.config.settings import Settings
from tests.browser.conftest import Watched
from tests.browser.relay import running_breakable_relay
from tests.browser.scripts import shown_one_by_one
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import DONE, Exchange, answer, chunk, usage_chunk

SMALLEST = """() => {
  const out = document.body.appendChild(document.createElement("pre"));
  out.id = "out";
  const s = new EventSource("/api/chat/stream?prompt=hi"); s.onmessage = (e) => { out.textContent += e.data }; %s
  window.s = s;
}"""
UNTIL_CLOSED = """() => new Promise((closed, failed) => {
  setTimeout(() => failed("still open"), 20000);
  setInterval(() => window.s.readyState === EventSource.CLOSED && closed(), 20);
})"""


async def until_closed(page: Page) -> None:
    """Wait until the page's EventSource reads no more, and will not come back."""
    await page.evaluate(UNTIL_CLOSED)


async def test_each_piece_is_on_the_page_before_the_model_gives_the_next(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    pieces = [f"piece{number} " for number in range(20)]
    upstream = await start_upstream(shown_one_by_one(watched, pieces))
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    turn = await watched.ask("Go on")
    await turn.until("done")
    assert await turn.text() == "".join(pieces).rstrip()


@pytest.mark.parametrize("on_error", ["s.onerror = () => s.close();", ""], ids=["closes", "reconnects"])
async def test_the_smallest_client_costs_one_generation(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched, on_error: str
) -> None:
    upstream = await start_upstream(answer("Hel", "lo\n", "you"))
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    await watched.page.evaluate(SMALLEST % on_error)
    await until_closed(watched.page)
    assert await watched.page.locator("#out").text_content() == "Hello\nyou"
    assert len(upstream.exchanges) == 1


async def test_an_answer_goes_on_over_a_broken_connection(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    state = watched.page.locator(".turn .state")

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one "))
        await watched.page.locator(".answer", has_text="one").wait_for()
        relay.cut()
        await expect(state).to_have_text("Connection lost, reconnecting…")
        await exchange.send(chunk("two "))
        relay.mend()
        await watched.page.locator(".answer", has_text="two").wait_for()
        await exchange.send(chunk("three") + chunk(finish="stop") + usage_chunk(1, 3) + DONE)

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    async with running_breakable_relay(server.port) as relay:
        await watched.open(relay.url)
        turn = await watched.ask("Go on")
        await turn.until("done")
        assert await turn.text() == "one two three"
        assert len(upstream.exchanges) == 1


async def test_the_page_works_under_a_path_of_another_app(watched: Watched) -> None:
    outer = web.Application()
    outer.add_subapp("/tools/chat", create_app(Settings()))
    runner = web.AppRunner(outer, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        await watched.open(f"http://{host}:{port}/tools/chat/")
        await watched.page.select_option("#provider", "echo")
        turn = await watched.ask("Hello there")
        await turn.until("done")
        assert await turn.text() == "Hello there"
        assert watched.complaints == []
    finally:
        await runner.cleanup()


async def test_client_of_the_readme_is_exact_and_ends_by_itself_when_its_connection_is_cut(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    """The smallest client that the README shows, over a connection that breaks in the middle of the answer."""
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (client,) = re.findall(r"<script>\n(.*?)</script>", text, re.DOTALL)
    out = watched.page.locator("#out")

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one "))
        await expect(out).to_have_text("one ")
        relay.cut()
        await exchange.send(chunk("two "))
        relay.mend()
        await expect(out).to_have_text("one two ")
        await exchange.send(chunk("three") + chunk(finish="stop") + usage_chunk(1, 3) + DONE)

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    async with running_breakable_relay(server.port) as relay:
        await watched.open(relay.url)
        await watched.page.evaluate(
            f"() => {{ document.body.innerHTML = '<pre id=out></pre>'; {client} ; window.source = s; }}"
        )
        await expect(out).to_have_text("one two three")
        await watched.page.wait_for_function("() => window.source.readyState === EventSource.CLOSED", timeout=60_000)
    assert len(upstream.exchanges) == 1, "one generation"
