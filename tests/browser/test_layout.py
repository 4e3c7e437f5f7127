"""How the page looks and reads: phone and laptop, light and dark, by screen reader."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.axe import Axe
from tests.browser.conftest import LAPTOP, PHONE, OpenWatched, Watched
from tests.browser.scripts import endless
from tests.client.conftest import node_modules
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import DONE, Exchange, chunk, usage_chunk

__all__ = ["node_modules"]

KEYBOARD_HEIGHT = 430
FINGER_PX = 44
SMALL_TARGETS = """(least) => [...document.querySelectorAll("button, select, input, textarea, summary, nav a")]
  .filter((each) => each.checkVisibility({ visibilityProperty: true }))
  .map((each) => [each.id || each.className || each.textContent, each.getBoundingClientRect()])
  .filter(([, box]) => box.width < least || box.height < least)
  .map(([name, box]) => `${name} ${box.width} x ${box.height}`)"""
OVERFLOW = "() => document.documentElement.scrollWidth - innerWidth"
ANIMATED = """() => [...document.querySelectorAll("*")].flatMap((element) => [null, "::before", "::after"]
  .filter((pseudo) => getComputedStyle(element, pseudo).animationName !== "none")).length"""
TEXT = """Bread waits for *nobody*.

| oven | loaves |
|---|---|
| left | 3 |

- flour, [water](https://example.com)

```python
print("a line of code that is far too long for the narrow screen of a telephone, and then some more of it")
```
"""


async def many_sided(exchange: Exchange) -> None:
    """Answer with reasoning, a tool call, Markdown and a finish reason; or with what the question says."""
    question = exchange.json()["messages"][-1]["content"]
    if question == "endless":
        return await endless(exchange)
    await exchange.start_stream()
    call = {
        "index": 0,
        "id": "c",
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"city": "Basel"}'},
    }
    await exchange.send(chunk(choices=[{"index": 0, "delta": {"reasoning_content": "Hm."}, "finish_reason": None}]))
    await exchange.send(chunk(choices=[{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]))
    await exchange.send(chunk(TEXT))
    if question != "break":
        await exchange.send(chunk(finish="length") + usage_chunk(7, 60) + DONE)
    return None


class Inspector:
    """A look at the page in each state, which leaves a picture where ``STREAMSERVER_SCREENSHOTS`` names a folder."""

    def __init__(self, page: Page, axe: Axe, name: str, *, touch: bool) -> None:
        self.page = page
        self._axe = axe
        self._name = name
        self._touch = touch

    async def look(self, state: str) -> None:
        if folder := os.environ.get("STREAMSERVER_SCREENSHOTS"):
            await self.page.screenshot(path=Path(folder) / f"{self._name}-{state}.png")
        assert await self._axe.violations(self.page) == [], state
        assert await self.page.evaluate(OVERFLOW) <= 0, state
        assert await self.page.locator("h1").count() == 1
        if self._touch:
            assert await self.page.evaluate(SMALL_TARGETS, FINGER_PX) == [], state


async def look_into_panels(watched: Watched, seen: Inspector) -> None:
    hood = watched.button("Under the hood")
    await hood.click()
    await expect(watched.page.locator("#hood")).to_be_visible()
    await seen.look("hood")
    await hood.click()
    for name, panel in (("Try the promises", "lab"), ("Use it in your app", "snippets")):
        await watched.button(name).click()
        await expect(watched.page.get_by_role("dialog", name=name)).to_be_visible()
        await seen.look(panel)
        await watched.button("Close").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["phone", "laptop"])
async def test_every_state_is_accessible_and_fits_the_screen(
    start_server: StartServer,
    start_upstream: StartUpstream,
    open_watched: OpenWatched,
    node_modules: Path,
    device: str,
    scheme: str,
) -> None:
    options: dict[str, Any] = PHONE if device == "phone" else {"viewport": LAPTOP}
    watched = await open_watched(**options, color_scheme=scheme, reduced_motion="reduce")
    page = watched.page
    seen = Inspector(page, Axe(node_modules), f"{device}-{scheme}", touch=device == "phone")
    upstream = await start_upstream(many_sided)
    echo = {"kind": "echo", "delay_ms": 0}
    unready = {"kind": "openai", "model": "gpt-4o-mini", "api_key_env": "OPENAI_API_KEY"}
    config = openai_at(upstream)
    server = await start_server(config | {"providers": config["providers"] | {"echo": echo, "openai": unready}})
    await watched.open(server.url)
    await seen.look("welcome")
    await (await watched.ask("Tell me about bread, at length, in a question that is longer than a line")).until("done")
    await seen.look("answer")
    await (await watched.ask("break")).until("failed")
    await seen.look("failure")
    turn = await watched.ask("endless")
    await turn.shows("word")
    assert await page.evaluate(ANIMATED) == 0
    await seen.look("streaming")
    await page.reload()
    await turn.shows("word")
    await seen.look("resumed")
    await watched.button("Stop").click()
    await turn.until("stopped")
    await watched.turn(0).button("Edit").click()
    await page.get_by_role("combobox", name="Provider").select_option("openai")
    await watched.button("Options").click()
    await page.get_by_role("spinbutton", name="Temperature").fill("3")
    await watched.button("Send").click()
    await expect(page.locator("#temperature-refusal")).to_be_visible()
    await seen.look("refused")
    await look_into_panels(watched, seen)
    if device == "phone":
        await watched.button("Conversations").click()
        await expect(page.get_by_role("list", name="Conversations")).to_be_visible()
        await seen.look("conversations")


async def test_conversation_stays_visible_over_a_keyboard_with_options_open(
    start_server: StartServer, phone: Watched
) -> None:
    server = await start_server()
    await phone.open(server.url)
    await (await phone.ask("Hello")).until("done")
    await phone.button("Options").click()
    await phone.page.set_viewport_size({"width": 390, "height": KEYBOARD_HEIGHT})
    conversation = phone.page.get_by_role("region", name="Conversation", exact=True)
    box = await conversation.bounding_box()
    assert box is not None and box["height"] >= 100
    await phone.page.get_by_role("spinbutton", name="Temperature").scroll_into_view_if_needed()
    for control in (phone.message, phone.button("Send"), phone.page.get_by_role("combobox", name="Model")):
        place = await control.bounding_box()
        assert place is not None and place["y"] + place["height"] <= KEYBOARD_HEIGHT


async def test_figures_fold_into_one_line_on_a_phone(start_server: StartServer, phone: Watched) -> None:
    server = await start_server()
    await phone.open(server.url)
    turn = await phone.ask("Hello there")
    await turn.until("done")
    line = turn.find(".figures summary")
    await expect(line).to_contain_text("2 in + 2 out")
    await expect(turn.find("dl")).to_be_hidden()
    box = await line.bounding_box()
    assert box is not None and box["height"] <= FINGER_PX + 2
    await line.click()
    await expect(turn.find("dd.finish")).to_have_text("stop")


async def test_answer_is_read_out_in_whole_sentences(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    sentence = "This is a *sentence* of some length, which is told as a whole. "

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        for piece in (sentence * 4 + "And an end").split(" "):
            await exchange.send(chunk(f"{piece} "))
        await exchange.send(chunk(finish="stop") + DONE)

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    await watched.page.evaluate(
        """() => {
          window.told = [];
          const log = document.querySelector("[role=log]");
          const note = ({ addedNodes }) => addedNodes.forEach((node) => told.push(node.textContent));
          new MutationObserver((all) => all.forEach(note)).observe(log, { childList: true });
        }"""
    )
    turn = await watched.ask("Go")
    await turn.until("done")
    whole = "This is a sentence of some length, which is told as a whole."
    assert await watched.page.evaluate("() => told") == [f"{whole} {whole}", f"{whole} {whole}", "And an end"]
    await expect(watched.page.locator("#status")).to_contain_text("The answer is complete.")
    assert await turn.element.locator("[aria-live], [role=status], [role=log]").count() == 0
