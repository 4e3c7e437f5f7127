"""Stopping an answer and leaving the page: the request to the provider ends with it."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.conftest import Watched
from tests.browser.scripts import endless
from tests.conftest import StartServer, StartUpstream, openai_at

NOTE_CALLS = """
window.calls = [];
const send = window.fetch;
window.fetch = (url, options = {}) => {
  const method = options.method ?? "GET";
  calls.push(method);
  if (method === "POST") options.signal.addEventListener("abort", () => calls.push("close"));
  return send(url, options);
};
"""


async def test_stop_lets_go_of_the_provider_and_keeps_what_had_come(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    turn = await watched.ask("Go on")
    await turn.shows("word")
    await watched.button("Stop").click()
    await upstream.exchanges[0].until_closed()
    await turn.until("stopped")
    assert await turn.text() == "word"
    assert "estimated" in await turn.text("dd.usage")
    assert (await server.record())["status"] == "cancelled"
    await expect(watched.button("Send")).to_be_visible()


async def test_escape_stops_the_answer(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    turn = await watched.ask("Go on")
    await turn.shows("word")
    await watched.page.keyboard.press("Escape")
    await turn.until("stopped")
    assert (await server.record())["status"] == "cancelled"


async def test_the_connection_is_closed_before_the_delete(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(openai_at(upstream))
    await watched.page.add_init_script(NOTE_CALLS)
    await watched.open(server.url)
    turn = await watched.ask("Go on")
    await turn.shows("word")
    await watched.button("Stop").click()
    await turn.until("stopped")
    calls = await watched.page.evaluate("() => window.calls")
    assert calls == ["GET", "POST", "close", "DELETE", "GET"], "six connections to a host are all that a browser has"


async def test_closing_the_page_lets_go_of_the_provider_when_the_grace_is_over(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(openai_at(upstream) | {"resume": {"keyed_grace_seconds": 0.1}})
    await watched.open(server.url)
    await (await watched.ask("Go on")).shows("word")
    await watched.page.close()
    await upstream.exchanges[0].until_closed()
    assert (await server.record())["status"] == "cancelled"


async def test_a_server_that_allows_no_grace_is_asked_without(start_server: StartServer, watched: Watched) -> None:
    server = await start_server({"resume": {"max_grace_seconds": 0}})
    await watched.open(server.url)
    turn = await watched.ask("Hello")
    await turn.until("done")
    assert await turn.text() == "Hello"
