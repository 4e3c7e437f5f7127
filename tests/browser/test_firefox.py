"""The page in Firefox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.browser.axe import AXE_RUN, Axe
from tests.browser.firefox import running_firefox
from tests.client.conftest import node_modules
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import DONE, Exchange, chunk, usage_chunk

__all__ = ["node_modules"]

ASK = """{
  document.querySelector("#prompt").value = "Tell me *all*";
  document.querySelector("#send").click();
}"""
ANSWER = "document.querySelector('.answer')?.textContent"


async def test_page_streams_and_reads_on_after_a_reload_in_firefox(
    start_server: StartServer,
    start_upstream: StartUpstream,
    find_program: Callable[[str], str],
    node_modules: Path,
    tmp_path: Path,
) -> None:
    async with running_firefox(find_program("firefox-esr"), tmp_path) as page:

        async def script(exchange: Exchange) -> None:
            await exchange.start_stream()
            await exchange.send(chunk("**one** "))
            await page.wait_for(f"{ANSWER} === 'one'")
            await page.reload()
            await page.wait_for(f"{ANSWER} === 'one'")
            await exchange.send(chunk("two") + chunk(finish="length") + usage_chunk(3, 2) + DONE)

        upstream = await start_upstream(script)
        server = await start_server(openai_at(upstream))
        await page.open(server.url)
        await page.wait_for("!document.querySelector('#provider').disabled")
        await page.evaluate(ASK)
        # Commands go one at a time, and a waiting one would keep the script's from the page.
        await server.record()
        await page.wait_for("document.querySelector('.turn[data-state=done]')")
        assert await page.evaluate(ANSWER) == "one two"
        assert await page.evaluate("document.querySelector('.answer strong').textContent") == "one"
        assert "length" in await page.evaluate("document.querySelector('.notice').textContent")
        assert await page.evaluate("document.querySelector('#conversations').textContent.trim()") == "Tell me *all*"
        assert len(upstream.exchanges) == 1
        await page.evaluate(Axe(node_modules).script)
        assert await page.evaluate(f"({AXE_RUN})()") == []
        assert page.complaints == []
