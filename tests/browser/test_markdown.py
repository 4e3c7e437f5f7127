"""Answers in Markdown, as the page shows them while they stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page

from tests.browser.conftest import running_chromium
from tests.browser.markdown_cases import ATOMS, CASES, HOSTILE, JSON, SHAPES
from tests.support.programs import program

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEB = Path(__file__).parents[2] / "web"
PROGRAM = Path(__file__).parent / "markdown.js"

COUNTABLE = "--js-flags=--no-opt --no-maglev --no-flush-bytecode"
"""Optimised code does not count how often it runs, and code that is dropped forgets it."""
CHARS = 4_000
IMPORT = "async () => { window.markdown = await import('/program.js'); }"
INDENT = "async (all) => { const { indented } = await import('/json.js'); return all.map(indented); }"
COUNT_LINKS = "(source) => markdown.show([source]).querySelectorAll('a, img').length"
GLIMPSES = "(source) => markdown.glimpses(source)"
SETTLED_STAYS = "([first, rest]) => markdown.settledStays(first, rest)"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """Return a page, for all tests, with the functions of ``markdown.js`` as ``window.markdown``."""
    path = program("chromium", request)
    async with running_site() as url, running_chromium(path, COUNTABLE) as chromium:
        page = await chromium.new_page()
        await page.goto(url)
        await page.evaluate(IMPORT)
        yield page


@asynccontextmanager
async def running_site() -> AsyncIterator[str]:
    """Serve ``web/`` and an empty page; its address."""

    async def index(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>markdown</title>", content_type="text/html")

    async def script(request: web.Request) -> web.FileResponse:
        return web.FileResponse(PROGRAM)

    app = web.Application()
    app.router.add_get("/", index)
    app.router.add_get("/program.js", script)
    app.router.add_static("/", WEB)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_markdown_becomes_the_elements_that_it_means(page: Page) -> None:
    shown = await page.evaluate("(sources) => sources.map(markdown.shortHtml)", list(CASES))
    assert dict(zip(CASES, shown, strict=True)) == CASES


async def test_arguments_of_a_tool_are_laid_out_with_their_values_unchanged(page: Page) -> None:
    shown = await page.evaluate(INDENT, list(JSON))
    assert dict(zip(JSON, shown, strict=True)) == JSON


async def test_links_with_another_scheme_are_text_and_nothing_is_loaded(page: Page) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    for address in HOSTILE:
        source = f"[click]({address}) ![image]({address}) <{address}>"
        assert await page.evaluate(COUNT_LINKS, source) == 0, address
        assert "click" in await page.evaluate("() => document.body.textContent")
    await page.evaluate("() => markdown.show(['![x](http://127.0.0.1:9/x.png)', '<img src=\"x.png\">'])")
    link = page.locator("a")
    assert await link.get_attribute("href") == "http://127.0.0.1:9/x.png"
    assert await link.get_attribute("target") == "_blank"
    assert "noopener" in (await link.get_attribute("rel") or "")
    assert requests == []


async def test_any_split_of_the_source_gives_what_the_whole_gives(page: Page) -> None:
    for seed in (1, 2):
        assert await page.evaluate("([...all]) => markdown.firstDifference(...all)", [list(ATOMS), 3_000, seed]) is None


async def test_what_is_complete_is_never_touched_again_and_no_half_table_is_text(page: Page) -> None:
    first = "# Head\n\nA *long* paragraph\n\n- item\n\n```\ncode\n```\n\n> quote\n\n| a |\n|---|\n| 1 |\n\nlast"
    assert await page.evaluate(SETTLED_STAYS, [first, " **word**\n\nmore\n# x\n"])
    table = "So:\n\n| a | **b** |\n|---|:-:|\n| 1 | 2 |\n"
    for glimpse in await page.evaluate(GLIMPSES, table):
        assert "|" not in glimpse
        assert "*" not in glimpse
    for glimpse in await page.evaluate(GLIMPSES, "See **this** `code` [link](http://x.y/z) now"):
        assert "*" not in glimpse
        assert "`" not in glimpse
        assert "](" not in glimpse
        assert "http" not in glimpse or 'href="http://x.y/z"' in glimpse


async def test_copy_code_copies_the_code_without_its_fences(page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.evaluate("() => markdown.show(['Run:\\n\\n```sh\\nls *\\n', '  cat `x`\\n```\\nDone'])")
    await page.get_by_role("button", name="Copy code").click()
    await page.get_by_role("button", name="Copied").wait_for()
    assert await page.evaluate("() => navigator.clipboard.readText()") == "ls *\n  cat `x`"


async def test_the_work_is_linear_in_the_length_of_the_answer(page: Page) -> None:
    session = await page.context.new_cdp_session(page)
    await session.send("Profiler.enable")
    await session.send("Profiler.startPreciseCoverage", {"callCount": True, "detailed": True})
    await page.reload()  # code that was optimised before is not counted
    await page.evaluate(IMPORT)

    async def steps(head: str, unit: str, chars: int) -> int:
        """Return the number of times that a block of the code ran."""
        await session.send("Profiler.takePreciseCoverage")
        await page.evaluate("([...all]) => markdown.stream(...all)", [head, unit, chars // len(unit)])
        scripts: list[dict[str, Any]] = (await session.send("Profiler.takePreciseCoverage"))["result"]
        ours = [script for script in scripts if "/markdown/" in script["url"]]
        return sum(each["count"] for script in ours for function in script["functions"] for each in function["ranges"])

    growth = {}
    for name, (head, unit) in SHAPES.items():
        few, many = await steps(head, unit, CHARS), await steps(head, unit, 4 * CHARS)
        assert few > 100, name
        growth[name] = round(many / few, 1)
    assert {name: factor for name, factor in growth.items() if factor > 6} == {}
    await session.send("Profiler.stopPreciseCoverage")
