"""The panel "Under the hood", as the person in front of it sees it."""

from __future__ import annotations

import re

from playwright.async_api import Locator, expect

from tests.browser.conftest import Watched
from tests.conftest import StartServer
from tests.support.proxy import running_proxy


def fact(watched: Watched, name: str) -> Locator:
    """Return the value beside ``name``."""
    panel = watched.page.get_by_role("complementary", name="Under the hood")
    return panel.locator(f"dt:text-is('{name}') + dd")


async def test_panel_shows_what_the_server_said_of_the_request(start_server: StartServer, watched: Watched) -> None:
    server = await start_server()
    await watched.open(server.url)
    await watched.button("Under the hood").click()
    panel = watched.page.get_by_role("complementary", name="Under the hood")
    await expect(panel).to_contain_text("Send a message")
    await (await watched.ask("one two three")).until("done")
    record = await server.record()
    await expect(fact(watched, "Request id")).to_have_text(record["request_id"])
    await expect(fact(watched, "x-request-id")).to_have_text(record["request_id"])
    await expect(fact(watched, "content-type")).to_have_text("text/event-stream")
    await expect(fact(watched, "Finish reason")).to_have_text("stop")
    await expect(fact(watched, "Paid")).to_have_text("3 in + 3 out tokens")
    await expect(fact(watched, "Reconnects")).to_have_text("0")
    await expect(fact(watched, "Events")).to_have_text("5 (with tokens: 3, pings: 0)")
    await expect(panel.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile("the last 3 tokens: half are below")
    )
    raw = panel.get_by_role("group", name="Raw events")
    await expect(raw).to_contain_text("event: start\nid: ")
    await expect(raw).to_contain_text("data: three")
    await expect(raw).to_contain_text('"finish_reason":"stop"')


async def test_memory_of_the_panel_is_bounded_and_a_new_answer_replaces_the_one_before(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server()
    await watched.open(server.url)
    await (await watched.ask(" ".join(str(number) for number in range(500)))).until("done")
    await watched.button("Under the hood").click()  # what happened before it was opened is there
    panel = watched.page.get_by_role("complementary", name="Under the hood")
    await expect(panel).to_contain_text("The newest 200 are kept; 302 older ones were dropped.")
    raw = panel.get_by_role("group", name="Raw events")
    assert await raw.locator("span").count() == 200
    await (await watched.ask("again")).until("done")
    await expect(raw).to_contain_text("data: again")
    await expect(raw).not_to_contain_text("data: 499")


async def test_reconnects_are_counted_and_the_position_is_shown(start_server: StartServer, watched: Watched) -> None:
    server = await start_server({"providers": {"echo": {"kind": "echo", "delay_ms": 40}}})
    async with running_proxy(server.port) as proxy:
        await watched.open(proxy.url)
        await watched.button("Under the hood").click()
        turn = await watched.ask(" ".join(f"w{number}" for number in range(60)))
        await turn.shows("w3")
        proxy.cut()
        await turn.until("done")
    await expect(fact(watched, "Reconnects")).not_to_have_text("0")
    await expect(fact(watched, "Tokens per second")).to_have_text(re.compile(r"^[\d.,]+ tokens/s$"))
    await expect(fact(watched, "Tokens per second")).not_to_have_text("60 tokens/s")  # the count is no speed
    panel = watched.page.get_by_role("complementary", name="Under the hood")
    await expect(panel).to_contain_text(", after event ")
    await expect(fact(watched, "Paid")).to_have_text("60 in + 60 out tokens")


RECORD = """async () => {
  const { Recorder } = await import("/hood/recorder.js");
  const recorder = new Recorder({ startedAt: 50 });
  recorder.take("raw", { number: 1, at: 100, text: "event: start\\ndata: {}\\n\\ndata: a\\n\\nda" });
  recorder.take("raw", { number: 1, at: 200, text: "ta: b\\n\\n" });
  recorder.take("raw", { number: 1, at: 300, text: "event: ping\\ndata: {}\\n\\nevent: reasoning\\ndata: {}\\n\\n" });
  const { tokens, events, pings, gaps, firstAt, perSecond } = recorder;
  return [tokens, events, pings, gaps, recorder.since(firstAt), perSecond];
}"""


async def test_figures_are_those_of_the_events_however_they_are_cut(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server()
    await watched.open(server.url)
    assert await watched.page.evaluate(RECORD) == [3, 5, 1, [100, 100], 50, 10]
