"""The examples of docs/client.md, each executed."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.client.project import Project, running_folder
from tests.client.runtimes import ROOT
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.commands import output_of
from tests.support.server import ServerProcess, clean_environ
from tests.support.upstream import DONE, Exchange, answer, chunk

DOCUMENTED = "http://127.0.0.1:8080"
TEXT = (ROOT / "docs/client.md").read_text("utf-8")


def example(language: str, number: int = 0) -> str:
    """Return an example of the page by its language."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return found[number]


def test_every_example_is_executed_or_like_one_that_is() -> None:
    languages = re.findall(r"^```(\w+)$", TEXT, re.MULTILINE)
    assert languages == ["html", "js", "html", "jsx", "ts", "vue", "python", "python"]
    asked = re.findall(r"    for await \(const event of stream.*?\n    \}\n", example("ts"), re.DOTALL)
    assert asked[0].replace("this.text.update((text) => text + event.text)", "text.value += event.text").replace(
        "\n  ", "\n"
    ).removeprefix("  ") in example("vue"), "Vue's differs from Angular's in the assignment alone"


@pytest.fixture
async def server(start_server: StartServer, start_upstream: StartUpstream, origin: str) -> ServerProcess:
    """Run a server that answers every prompt with the same, and lets pages of ``origin`` ask."""
    config = openai_at(await start_upstream(answer("Hello", " ", "you"))) | {"auth": {"cors_origins": [origin]}}
    started: ServerProcess = await start_server(config)
    return started


async def open_page(browser: Browser, url: str) -> Page:
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(60_000)
    await page.goto(url)
    return page


async def test_the_page_shows_the_answer(server: ServerProcess, browser: Browser, origin: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(example("html").replace(DOCUMENTED, server.url))
    async with running_folder(tmp_path, origin):
        page = await open_page(browser, f"{origin}/index.html")
        await expect(page.locator("output")).to_have_text("Hello you")


async def test_the_page_that_comes_back_reads_the_same_answer(
    start_server: StartServer, start_upstream: StartUpstream, browser: Browser, origin: str, tmp_path: Path
) -> None:
    more = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one "))
        await more.wait()
        await exchange.send(chunk("two") + chunk(finish="stop") + DONE)

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream) | {"auth": {"cors_origins": [origin]}})
    (tmp_path / "index.html").write_text(example("html", 1).replace(DOCUMENTED, server.url))
    async with running_folder(tmp_path, origin):
        page = await open_page(browser, f"{origin}/index.html")
        await expect(page.locator("output")).to_have_text("one ")
        await page.reload()
        await expect(page.locator("output")).to_have_text("one ")
        more.set()
        await expect(page.locator("output")).to_have_text("one two")
    assert len(upstream.exchanges) == 1


async def test_node_prints_the_answer(server: ServerProcess, project: Project) -> None:
    (project.folder / "ask.js").write_text(example("js").replace(DOCUMENTED, server.url))
    assert await output_of(project.node, "ask.js", cwd=project.folder) == "Hello you\n3 tokens\n"


@pytest.mark.parametrize("number", [0, 1], ids=["asyncio", "blocking"])
async def test_python_prints_the_answer(server: ServerProcess, number: int) -> None:
    program = example("python", number).replace(DOCUMENTED, server.url)
    printed = await output_of(sys.executable, "-W", "error", "-c", program, cwd=ROOT, env=clean_environ())
    assert printed == "Hello you"


REACT = """
import { createRoot } from "react-dom/client";
import { Chat } from "./chat.jsx";
createRoot(document.getElementById("root")).render(<Chat />);
"""
ANGULAR = """
import "@angular/compiler";
import { provideZonelessChangeDetection } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";
import { Chat } from "./chat";
bootstrapApplication(Chat, { providers: [provideZonelessChangeDetection()] });
"""


@pytest.mark.parametrize(
    ("language", "main", "body"),
    [("jsx", REACT, '<div id="root"></div>'), ("ts", ANGULAR, "<app-chat></app-chat>")],
    ids=["react", "angular"],
)
async def test_a_component_shows_the_answer(
    server: ServerProcess, browser: Browser, project: Project, origin: str, language: str, main: str, body: str
) -> None:
    (project.folder / f"chat.{language}").write_text(example(language).replace(DOCUMENTED, server.url))
    (project.folder / f"main.{language}").write_text(main)
    await project.bundle(f"main.{language}")
    project.page(body)
    async with running_folder(project.folder, origin):
        page = await open_page(browser, f"{origin}/index.html")
        await page.fill("input", "Hello there")
        await page.locator("button").first.click()
        await expect(page.locator("output")).to_have_text("Hello you")
