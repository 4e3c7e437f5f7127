"""The examples of docs/browser.md, each run in a browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.relay import running_breakable_relay
from tests.client.project import Project, running_folder
from tests.client.runtimes import ROOT
from tests.client.test_examples import DOCUMENTED, open_page
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import until_listening
from tests.support.ports import free_port
from tests.support.upstream import DONE, Exchange, answer, chunk, usage_chunk

TEXT = (ROOT / "docs/browser.md").read_text("utf-8")
FILE = (ROOT / "docs/examples/client.html").read_text("utf-8")
KEY = "key-of-anna-0123456789"
VITE_PAGE = """<!doctype html><title>page</title><link rel=icon href=data:,><div id="root"></div>
<script type="module" src="/main.jsx"></script>"""
MAIN = """/** @jsxRuntime automatic */
import { createRoot } from "react-dom/client";
import { Ask } from "./ask.jsx";
createRoot(document.getElementById("root")).render(<Ask />);
"""


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_smallest_client_and_file_are_the_same_everywhere() -> None:
    smallest, page = examples("html")
    assert page == FILE
    assert smallest in (ROOT / "README.md").read_text("utf-8")


class ClientPage:
    """The page of ``client.html``, driven as a person does."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.answer, self.note = page.locator("#answer"), page.get_by_role("status")

    async def ask(self, server: str, key: str) -> None:
        await self.page.get_by_label("Server").fill(server)
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_label("Message").fill("hello")
        await self.page.get_by_role("button", name="Send").click()

    async def shows(self, answer: str, note: str | re.Pattern[str]) -> None:
        await expect(self.answer).to_have_text(answer)
        await expect(self.note).to_have_text(note)


@pytest.fixture
async def client_page(browser: Browser, origin: str, tmp_path: Path) -> AsyncIterator[ClientPage]:
    (tmp_path / "page").mkdir()
    (tmp_path / "page/client.html").write_text(FILE)
    async with running_folder(tmp_path / "page", origin):
        yield ClientPage(await open_page(browser, f"{origin}/client.html"))


async def test_client_page_shows_answer_refusal_stop_and_a_cut(
    client_page: ClientPage, start_server: StartServer, start_upstream: StartUpstream, origin: str
) -> None:
    held = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one "))
        await expect(client_page.answer).to_have_text("one ")
        if len(upstream.exchanges) > 1:
            await held.wait()
        relay.cut()
        await expect(client_page.note).to_have_text(re.compile("Reconnecting"))
        await exchange.send(chunk("two"))
        relay.mend()
        await exchange.send(chunk(finish="stop") + usage_chunk(1, 2) + DONE)

    upstream = await start_upstream(script)
    config = openai_at(upstream) | {"auth": {"cors_origins": [origin]}}
    server = await start_server(config, environ={"STREAMSERVER_KEYS": f"anna:{KEY}"})
    async with running_breakable_relay(server.port) as relay:
        await client_page.ask(relay.url, "wrong")
        await client_page.shows("", re.compile("^401: "))
        await client_page.ask(relay.url, KEY)
        await client_page.shows("one two", "Ended: stop")
        await client_page.ask(relay.url, KEY)
        await client_page.shows("one ", "")
        await client_page.page.get_by_role("button", name="Stop").click()
        await client_page.shows("one ", re.compile(r"stopped|cancelled", re.IGNORECASE))
        await expect(client_page.page.get_by_role("button", name="Stop")).to_be_disabled()
    held.set()
    assert len(upstream.exchanges) == 2


async def test_client_page_says_what_is_wrong_when_its_origin_is_not_allowed(
    client_page: ClientPage, start_server: StartServer
) -> None:
    server = await start_server()
    await client_page.ask(server.url, "")
    await client_page.shows("", re.compile(r"auth\.cors_origins"))


async def test_fetch_reads_the_answer_and_the_refusal(
    browser: Browser, start_server: StartServer, start_upstream: StartUpstream
) -> None:
    server = await start_server(openai_at(await start_upstream(answer("Hello\n", "\n\u2028 you"))))
    page = await open_page(browser, f"{server.url}/healthz")
    run = "async (prompt) => { const pieces = []; return [await ask(prompt, (piece) => pieces.push(piece)), pieces] }"
    await page.add_script_tag(content=examples("js")[0])
    end, pieces = await page.evaluate(run, "hi")
    assert ("".join(pieces), end["finish_reason"]) == ("Hello\n\n\u2028 you", "stop")
    refused = await page.evaluate("() => ask('', () => {}).catch((error) => error.message)")
    assert refused == "prompt is empty."


@asynccontextmanager
async def running_vite(project: Project, port: int) -> AsyncIterator[str]:
    vite = project.folder / "node_modules/vite/bin/vite.js"
    options = ("--port", str(port), "--strictPort", "--host", "127.0.0.1", "--logLevel", "error")
    process = await asyncio.create_subprocess_exec(project.node, str(vite), *options, cwd=project.folder)
    try:
        await until_listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


async def test_react_component_shows_each_token_through_vites_proxy(
    browser: Browser, project: Project, start_server: StartServer, start_upstream: StartUpstream
) -> None:
    more = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("Hello "))
        await more.wait()
        await exchange.send(chunk("you") + chunk(finish="stop") + usage_chunk(1, 2) + DONE)

    server = await start_server(openai_at(await start_upstream(script)))
    (project.folder / "vite.config.js").write_text(examples("js")[1].replace(DOCUMENTED, server.url))
    (project.folder / "ask.jsx").write_text("/** @jsxRuntime automatic */\n" + examples("jsx")[0])
    (project.folder / "main.jsx").write_text(MAIN)
    (project.folder / "index.html").write_text(VITE_PAGE)
    async with running_vite(project, free_port()) as url:
        page = await open_page(browser, url)
        await page.fill("input", "hi")
        await page.get_by_role("button", name="Ask").click()
        await expect(page.locator("output")).to_have_text("Hello ")  # not held back by the proxy
        more.set()
        await expect(page.locator("output")).to_have_text("Hello you")
