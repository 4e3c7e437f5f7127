"""How the panel and the dialogs look and read: phone and laptop, light and dark, by screen reader and by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.axe import Axe
from tests.browser.conftest import LAPTOP, PHONE, OpenWatched, Watched
from tests.browser.test_layout import Inspector
from tests.client.conftest import node_modules
from tests.conftest import StartServer

__all__ = ["node_modules"]


@pytest.mark.parametrize(("device", "scheme"), [("phone", "dark"), ("phone", "light"), ("laptop", "light")])
async def test_panel_and_dialogs_are_accessible_and_fit_the_screen(
    start_server: StartServer, open_watched: OpenWatched, node_modules: Path, device: str, scheme: str
) -> None:
    options: dict[str, Any] = PHONE if device == "phone" else {"viewport": LAPTOP}
    watched = await open_watched(**options, color_scheme=scheme, reduced_motion="reduce")
    page = watched.page
    seen = Inspector(page, Axe(node_modules), f"{device}-{scheme}", touch=device == "phone")
    server = await start_server()
    await watched.open(server.url)
    await watched.button("Under the hood").click()
    await seen.look("hood-empty")
    await watched.button("Under the hood").click()
    await (await watched.ask("Tell me")).until("done")
    await watched.button("Under the hood").click()
    await expect(page.get_by_role("group", name="Raw events")).to_contain_text("event: done")
    await seen.look("hood")
    await watched.button("Under the hood").click()
    await watched.button("Try the promises").click()
    for name in ("Ask twice", "Cut the connection", "Make the provider fail", "Exceed a limit"):
        await watched.button(name).click()
        await expect(watched.button(name)).to_be_enabled()
    await seen.look("lab")
    await page.keyboard.press("Escape")
    await watched.button("Use it in your app").click()
    await seen.look("snippets")


async def test_snippets_are_chosen_by_arrow_keys(start_server: StartServer, watched: Watched) -> None:
    server = await start_server()
    await watched.open(server.url)
    await watched.button("Use it in your app").focus()
    await watched.page.keyboard.press("Enter")
    await watched.page.get_by_role("tab", name="curl").focus()
    await watched.page.keyboard.press("ArrowLeft")
    await expect(watched.page.get_by_role("tab", name="Anthropic SDK", selected=True)).to_be_focused()
    await expect(watched.page.get_by_role("tabpanel", name="Anthropic SDK")).to_contain_text("from anthropic import")
    await watched.page.keyboard.press("Escape")
    await expect(watched.button("Use it in your app")).to_be_focused()
