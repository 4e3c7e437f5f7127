"""What happens to a page while it reads: it is frozen, offline, hidden in the back/forward cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from playwright.async_api import Page, async_playwright

from tests.browser.conftest import SWITCHES
from tests.client.relay import FaultRelay, running_fault_relay
from tests.client.runtimes import running_site
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import DONE, Exchange, Upstream, chunk

LEAVE_IN = "--disable-back-forward-cache"
"""Playwright switches the cache off."""
TICK_SECONDS = 0.05


class Counter:
    """A provider that counts until it is told to end."""

    def __init__(self) -> None:
        self.count = 0
        self.ending = asyncio.Event()

    async def script(self, exchange: Exchange) -> None:
        await exchange.start_stream()
        while not self.ending.is_set():
            await exchange.send(chunk(f"{self.count} "))
            self.count += 1
            await asyncio.sleep(TICK_SECONDS)
        await exchange.send(chunk(finish="stop") + DONE)


@pytest.fixture
async def counter() -> Counter:
    return Counter()


@pytest.fixture
async def upstream(start_upstream: StartUpstream, counter: Counter) -> Upstream:
    started: Upstream = await start_upstream(counter.script)
    return started


@pytest.fixture
async def relay(start_server: StartServer, upstream: Upstream, origin: str) -> AsyncIterator[FaultRelay]:
    config = {"auth": {"cors_origins": [origin]}, "server": {"keepalive_seconds": 1}}
    server = await start_server(openai_at(upstream) | config)
    async with running_fault_relay(server.port) as relay:
        yield relay


@pytest.fixture
async def page(find_program: Callable[[str], str], relay: FaultRelay, origin: str) -> AsyncIterator[Page]:
    """Return a page that reads the count."""
    async with running_site(int(origin.rpartition(":")[2])), async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=find_program("chromium"), args=list(SWITCHES), ignore_default_args=[LEAVE_IN]
        )
        page = await (await chromium.new_context()).new_page()
        page.set_default_timeout(60_000)
        await page.goto(origin)
        await page.wait_for_function("window.begin !== undefined")
        await page.evaluate("(url) => void begin(url, 'count')", relay.url)
        await page.wait_for_function("window.text.length > 20")
        yield page
        await chromium.close()


async def moves(page: Page) -> float:
    """Wait until more text is shown; after how many seconds it was."""
    began = asyncio.get_running_loop().time()
    length = await page.evaluate("window.text.length")
    await page.wait_for_function(f"window.text.length > {length}")
    return asyncio.get_running_loop().time() - began


async def assert_whole(page: Page, counter: Counter, upstream: Upstream) -> None:
    """End the count: all of it was shown, once."""
    counter.ending.set()
    await page.wait_for_function("window.ending")
    assert await page.evaluate("window.ending") == "end"
    assert await page.evaluate("window.text") == "".join(f"{number} " for number in range(counter.count))
    assert len(upstream.exchanges) == 1


@pytest.mark.parametrize("seconds", [1, 6])
@pytest.mark.parametrize("connection", ["sound", "frozen"])
async def test_the_answer_goes_on_when_the_page_is_thawed(
    page: Page, relay: FaultRelay, counter: Counter, upstream: Upstream, seconds: float, connection: str
) -> None:
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    if connection == "frozen":
        relay.silence("freeze")
    await asyncio.sleep(seconds)
    await devtools.send("Page.setWebLifecycleState", {"state": "active"})
    print(f"frozen for {seconds} s, connection {connection}: text moves {await moves(page):.2f} s after the thaw")
    await assert_whole(page, counter, upstream)


async def test_the_answer_goes_on_when_the_network_comes_back(
    page: Page, relay: FaultRelay, counter: Counter, upstream: Upstream
) -> None:
    await page.context.set_offline(True)
    relay.go_offline()
    await asyncio.sleep(2)
    relay.go_online()
    await page.context.set_offline(False)
    print(f"text moves {await moves(page):.2f} s after the network is back")
    await assert_whole(page, counter, upstream)


async def test_the_answer_goes_on_when_the_page_comes_back_from_the_cache(
    page: Page, relay: FaultRelay, counter: Counter, upstream: Upstream
) -> None:
    await page.evaluate("addEventListener('pageshow', (event) => { window.persisted = event.persisted; })")
    await page.goto(f"{relay.url}/healthz")
    await asyncio.sleep(1)
    await page.go_back(wait_until="commit")
    await page.wait_for_function("window.persisted")
    print(f"text moves {await moves(page):.2f} s after the page is shown again")
    await assert_whole(page, counter, upstream)
