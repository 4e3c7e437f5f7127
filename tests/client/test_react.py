"""React's hook under StrictMode, in Chromium."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page, expect

from tests.client.project import Project, running_folder
from tests.client.runtimes import PROGRAMS
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import Exchange, Upstream, answer, chunk


async def endless(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("word"))
    await exchange.closed.wait()


@pytest.fixture
async def upstream(start_upstream: StartUpstream) -> Upstream:
    started: Upstream = await start_upstream(endless)
    return started


@pytest.fixture
async def page(
    browser: Browser, project: Project, start_server: StartServer, upstream: Upstream, origin: str
) -> AsyncIterator[Page]:
    """Return a page with the component, asking in an effect."""
    server = await start_server(openai_at(upstream) | {"auth": {"cors_origins": [origin]}})
    (project.folder / "strict.jsx").write_text((PROGRAMS / "strict.jsx").read_text())
    await project.bundle("strict.jsx")
    project.page('<div id="root"></div>')
    async with running_folder(project.folder, origin):
        context = await browser.new_context()
        page = await context.new_page()
        page.set_default_timeout(60_000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        await page.goto(f"{origin}/index.html?url={quote(server.url)}")
        yield page
        await context.close()
        assert errors == []


async def test_an_effect_that_runs_twice_starts_one_generation(page: Page, upstream: Upstream) -> None:
    output = page.locator("output[data-status=streaming]")
    await expect(output).to_have_text("word")
    await page.evaluate("window.chat.start({ prompt: 'in an effect' })")  # as a second click does
    await asyncio.sleep(0.5)
    assert len(upstream.exchanges) == 1


async def test_stop_keeps_the_text_and_retry_asks_again(page: Page, upstream: Upstream) -> None:
    await expect(page.locator("output[data-status=streaming]")).to_have_text("word")
    await page.evaluate("window.chat.stop()")
    await expect(page.locator("output[data-status=stopped]")).to_have_text("word")
    await upstream.exchanges[0].until_closed()
    upstream.script = answer("all", " of it")
    await page.evaluate("window.chat.retry()")
    await expect(page.locator("output[data-status=done]")).to_have_text("all of it")
    assert len(upstream.exchanges) == 2


async def test_another_request_stops_the_one_before(page: Page, upstream: Upstream) -> None:
    await expect(page.locator("output[data-status=streaming]")).to_have_text("word")
    upstream.script = answer("the second")
    await page.evaluate("window.chat.start('another')")
    await expect(page.locator("output[data-status=done]")).to_have_text("the second")
    await upstream.exchanges[0].until_closed()


async def test_unmounting_leaves_the_answer(page: Page, upstream: Upstream) -> None:
    await expect(page.locator("output[data-status=streaming]")).to_have_text("word")
    await page.evaluate("window.root.unmount()")
    await upstream.exchanges[0].until_closed()


async def test_a_refusal_is_the_error_of_the_state(page: Page) -> None:
    await expect(page.locator("output[data-status=streaming]")).to_have_text("word")
    await page.evaluate("window.chat.start({ prompt: '' })")
    output = page.locator("output[data-status=error]")
    await expect(output).to_have_attribute("data-error", "invalid_request")
