"""A real browser, which the tests of this folder share, and a page that is watched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, async_playwright, expect

from tests.conftest import StartServer, StartUpstream, starting_servers, starting_upstreams
from tests.support.programs import program

SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LAPTOP: Any = {"width": 1280, "height": 800}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WAIT_MS = 60_000
"""How long anything on the page may take; nothing takes so long unless it is broken."""
expect.set_options(timeout=WAIT_MS)


@dataclass
class Watched:
    """A page, with everything it complains of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def open(self, url: str) -> None:
        """Go to the page, and wait until it knows the providers."""
        await self.page.goto(url)
        await self.page.locator("#provider:enabled").wait_for()

    @property
    def message(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def turn(self, number: int) -> Turn:
        return Turn(self.page.locator(".turn").nth(number))

    async def ask(self, prompt: str) -> Turn:
        """Ask as a person does; the exchange that comes of it."""
        number = await self.page.locator(".turn").count()
        await self.message.fill(prompt)
        await self.button("Send").click()
        turn = self.turn(number)
        await turn.element.wait_for()
        return turn


@dataclass
class Turn:
    """One exchange on the page."""

    element: Locator

    def find(self, selector: str) -> Locator:
        return self.element.locator(selector)

    def button(self, name: str) -> Locator:
        return self.element.get_by_role("button", name=name)

    async def until(self, state: str) -> None:
        """Wait until it is in ``state``."""
        await self.element.and_(self.element.page.locator(f"[data-state={state}]")).wait_for()

    async def shows(self, text: str) -> None:
        """Wait until the answer holds ``text``."""
        await self.find(".answer").filter(has_text=text).wait_for()

    async def text(self, selector: str = ".answer") -> str:
        return await self.find(selector).text_content() or ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder on one event loop, that of the browser."""
    for item in items:
        marker = item.get_closest_marker("asyncio")
        if item.path.parent == Path(__file__).parent and marker is not None and not marker.kwargs:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@asynccontextmanager
async def running_chromium(path: str | None, *switches: str) -> AsyncIterator[Browser]:
    """Run Chromium without a window, with further ``switches``. Without ``path`` it is Playwright's own."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=[*SWITCHES, *switches])
        try:
            yield chromium
        finally:
            await chromium.close()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def chromium(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    """Run the Chromium of all tests of this folder."""
    async with running_chromium(program("chromium", request)) as chromium:
        yield chromium


@pytest_asyncio.fixture(loop_scope="session")
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """Return Chromium, in which each test opens contexts of its own: nothing of them is left for the next test."""
    assert chromium.contexts == []
    yield chromium
    for context in chromium.contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def start_server(tmp_path: Path) -> AsyncIterator[StartServer]:
    """Return what :func:`starting_servers` provides, on the event loop of this folder."""
    async with starting_servers(tmp_path) as start:
        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def start_upstream() -> AsyncIterator[StartUpstream]:
    """Return what :func:`starting_upstreams` provides, on the event loop of this folder."""
    async with starting_upstreams() as start:
        yield start


OpenWatched = Callable[..., Awaitable[Watched]]


@pytest_asyncio.fixture(loop_scope="session")
async def open_watched(browser: Browser) -> AsyncIterator[OpenWatched]:
    """Return ``await open_watched(**options)``: a page in a context of its own with Playwright's ``options``.

    No script of it may have failed when the test is over.
    """
    opened: list[Watched] = []

    async def open_context(**options: Any) -> Watched:
        context = await browser.new_context(**options)
        opened.append(Watched(await context.new_page()))
        return opened[-1]

    yield open_context
    for watched in opened:
        await watched.page.context.close()
    expected = "Failed to load resource"  # Chromium says so of every refusal
    assert [each for watched in opened for each in watched.complaints if not each.startswith(expected)] == []


@pytest_asyncio.fixture(loop_scope="session")
async def watched(open_watched: OpenWatched) -> Watched:
    """Return a page at laptop size."""
    return await open_watched(viewport=LAPTOP)


@pytest_asyncio.fixture(loop_scope="session")
async def phone(open_watched: OpenWatched) -> Watched:
    """Return a page on a phone."""
    return await open_watched(**PHONE)
