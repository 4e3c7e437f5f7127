"""The dialog "Try the promises", as the person in front of it sees it."""

from __future__ import annotations

import re

from playwright.async_api import Locator, expect

from tests.browser.conftest import Watched
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.server import ServerProcess
from tests.support.upstream import answer

QUICK = {"server": {"keepalive_seconds": 1, "drain_seconds": 0.2}, "timeouts": {"idle": 2}}


async def open_lab(watched: Watched, server: ServerProcess) -> Locator:
    await watched.open(server.url)
    await watched.button("Try the promises").click()
    return watched.page.get_by_role("dialog", name="Try the promises")


class Card:
    """One experiment."""

    def __init__(self, lab: Locator, title: str) -> None:
        self.button = lab.get_by_role("button", name=title, exact=True)
        self.element = lab.locator("section").filter(has=lab.page.get_by_role("button", name=title, exact=True))
        self.text = self.element.locator(".lab-text")
        self.state = self.element.get_by_role("status")

    def fact(self, name: str) -> Locator:
        return self.element.locator(f'dt:text-is("{name}") + dd')

    async def run(self) -> None:
        """Press the button, and wait until the experiment is over."""
        await self.button.click()
        await expect(self.button).to_be_enabled()


async def test_both_ways_of_asking_give_the_same_answer_and_have_clocks(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server({"providers": {"echo": {"kind": "echo", "delay_ms": 10}}})
    lab = await open_lab(watched, server)
    await lab.get_by_role("textbox", name="Prompt of both").fill("one two three four five six seven eight nine ten")
    card = Card(lab, "Ask twice")
    await card.run()
    await expect(card.text).to_have_text(["one two three four five six seven eight nine ten"] * 2)
    await expect(card.state).to_have_text(["Complete"] * 2)
    await expect(card.fact("First word after")).to_have_text([re.compile(r"^[\d.]+ m?s$")] * 2)
    assert await card.fact("Whole answer after").count() == 2
    streams = await server.logged("stream", 2)
    assert len(streams) == 2
    assert {record["status"] for record in streams} == {"done"}


async def test_cut_connection_loses_no_token_and_pays_none_twice(start_server: StartServer, watched: Watched) -> None:
    server = await start_server(QUICK)
    card = Card(await open_lab(watched, server), "Cut the connection")
    await card.run()
    await expect(card.text).to_have_text(" ".join(str(number) for number in range(1, 81)))
    await expect(card.state).to_have_text("Complete. No token was lost, and none was paid twice.")
    await expect(card.fact("Connections")).to_have_text("2")
    await expect(card.fact("Resumed after event")).to_have_text("19")
    await expect(card.fact("Tokens read")).to_have_text("80 of 80")
    await expect(card.fact("Tokens paid")).to_have_text("80")
    record = await server.record()
    assert (record["completion_tokens"], record["attempts"], len(server.records())) == (80, 1, 1)


async def test_failing_and_stalling_providers_keep_what_came_and_say_what_can_be_done(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server(QUICK)
    lab = await open_lab(watched, server)
    twelve = " ".join(str(number) for number in range(1, 13))
    failing, stalling = Card(lab, "Make the provider fail"), Card(lab, "Stall the provider")
    await failing.run()
    await expect(failing.text).to_have_text(twelve)
    await expect(failing.state).to_contain_text("You can try again. What had come is kept.")
    await expect(failing.fact("Code")).to_have_text("upstream_error")
    await stalling.button.click()
    await expect(stalling.state).to_have_text("The model is quiet…")
    await expect(stalling.button).to_be_enabled()
    await expect(stalling.text).to_have_text(twelve)
    await expect(stalling.fact("Code")).to_have_text("timeout")
    await expect(stalling.fact("Worth a retry")).to_have_text("yes")


async def test_limit_is_named_and_closing_the_tab_ends_the_generation(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server(QUICK)
    lab = await open_lab(watched, server)
    limit, tab = Card(lab, "Exceed a limit"), Card(lab, "Close the tab")
    await limit.run()
    await expect(limit.state).to_contain_text("max_tokens is at most 4096")
    await expect(limit.fact("Status")).to_have_text("422")
    assert server.records() == []
    await tab.run()
    await expect(tab.fact("Ending")).to_have_text("cancelled")
    await expect(tab.fact("Tokens on the screen")).to_have_text("12")
    await expect(tab.fact("Provider's connection closed")).to_have_text(
        re.compile(r"^at most [\d.]+ m?s after the tab$")
    )
    record = await server.record()
    assert record["status"] == "cancelled"
    await expect(tab.fact("Tokens that the provider wrote")).to_have_text(str(record["completion_tokens"]))


async def test_lab_says_so_where_there_is_no_echo_provider(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    table = openai_at(await start_upstream(answer("Hello")))["providers"]["up"]
    server = await start_server({"providers": {"echo": table}})  # in name only
    lab = await open_lab(watched, server)
    await expect(lab).to_contain_text("need the echo provider")
    await expect(lab.get_by_role("button")).to_have_count(1)
