"""Seven tabs: a browser opens six connections to a host."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.conftest import Watched
from tests.browser.scripts import endless
from tests.conftest import StartServer, StartUpstream, openai_at

CONNECTIONS = 6


async def test_seventh_tab_says_what_is_wrong_and_goes_on_when_another_closes(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(openai_at(upstream))
    context = watched.page.context
    tabs = [watched, *[Watched(await context.new_page()) for _ in range(CONNECTIONS)]]
    for tab in tabs:
        await tab.open(server.url)
    for tab in tabs[1:]:
        await (await tab.ask("Go on")).shows("word")
    await watched.message.fill("Me too")
    await watched.button("Send").click()
    waiting = watched.page.locator("#waiting")
    await expect(waiting).to_contain_text("6 other tabs are reading answers from this server")
    assert len(upstream.exchanges) == CONNECTIONS
    await tabs[1].page.close()
    await watched.turn(0).shows("word")
    await expect(waiting).to_be_hidden()
    assert [complaint for tab in tabs for complaint in tab.complaints] == []


async def test_question_that_waits_for_a_connection_can_be_stopped(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    await watched.page.route("**/api/chat/stream", lambda route: None)  # never answered
    await watched.message.fill("Go on")
    await watched.button("Send").click()
    await expect(watched.page.locator("#waiting")).to_contain_text("has not answered yet")
    await watched.button("Stop").click()
    await expect(watched.button("Send")).to_be_visible(timeout=60_000)
    await expect(watched.message).to_have_value("Go on")
