"""The dialog "Use it in your app": what is copied from the page works, whatever the prompt."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import urlopen

from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Watched
from tests.client.conftest import node_modules, origin, project
from tests.client.project import Project, running_folder
from tests.conftest import StartServer
from tests.support.commands import output_of
from tests.support.server import clean_environ
from tests.support.sse import parse, text_of

__all__ = ["node_modules", "origin", "project"]

HOSTILE = (
    "It's a \"test\" of $HOME, $(id), `id` and ${x}; {{ y }} %s 100% \\n \\ 'x' '''z''' \"\"\"\n"
    "</script><!-- <b> &amp; \t é 😀 \u2028 \\u0041 #{z} !! *\n\nend"
)
KEY = "key-of-anna-0123456789"
IS_COPIED = "async () => await navigator.clipboard.readText() === document.querySelector('#snippet code').textContent"
REACT_MAIN = """
import { createRoot } from "react-dom/client";
import { Answer } from "./answer.jsx";
createRoot(document.getElementById("root")).render(<Answer />);
"""
ANGULAR_MAIN = """
import "@angular/compiler";
import { provideZonelessChangeDetection } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";
import { Answer } from "./answer";
bootstrapApplication(Answer, { providers: [provideZonelessChangeDetection()] });
"""
STRICT = ("--strict", "--noEmit", "--experimentalDecorators", "--skipLibCheck", "--target", "es2022")


async def snippet(page: Page, name: str) -> str:
    """Copy the snippet for ``name``, as a person does."""
    await page.get_by_role("tab", name=name, exact=True).click()
    await page.locator("#snippet").get_by_role("button").click()
    await page.wait_for_function(IS_COPIED)
    return str(await page.evaluate("() => navigator.clipboard.readText()"))


async def snippets(watched: Watched, *names: str) -> dict[str, str]:
    await watched.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await watched.button("Use it in your app").click()
    copied = {name: await snippet(watched.page, name) for name in names}
    await watched.page.keyboard.press("Escape")
    return copied


async def prints(*command: str) -> str:
    return await output_of(*command, env=clean_environ())


async def python_prints(code: str) -> str:
    return await prints(sys.executable, "-c", code)


async def test_programs_print_the_answer_to_any_prompt(
    start_server: StartServer, watched: Watched, find_program: Callable[[str], str], tmp_path: Path
) -> None:
    find_program("curl")
    server = await start_server()
    await watched.open(server.url)
    await watched.message.fill(HOSTILE)
    copied = await snippets(watched, "curl", "fetch", "Python", "OpenAI SDK", "Anthropic SDK")
    assert text_of(parse((await prints("sh", "-c", copied["curl"].replace("curl -N", "curl -sN"))).encode())) == HOSTILE
    (tmp_path / "ask.mjs").write_text(copied["fetch"])
    assert await prints(find_program("node"), str(tmp_path / "ask.mjs")) == HOSTILE
    programs = [copied[name] for name in ("Python", "OpenAI SDK", "Anthropic SDK")]
    assert await asyncio.gather(*map(python_prints, programs)) == [HOSTILE] * 3


async def test_programs_carry_the_conversation_the_options_and_a_place_for_the_key(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server(environ={"STREAMSERVER_KEYS": f"anna:{KEY}"})
    await watched.page.goto(server.url)
    await watched.page.get_by_label("This server asks for an API key").fill(KEY)
    await watched.button("Use this key").click()
    await watched.page.locator("#provider:enabled").wait_for()
    await (await watched.ask("first question")).until("done")
    await watched.button("Options").click()
    await watched.page.get_by_label("System prompt").fill('Be "brief".')
    await watched.page.get_by_label("Temperature").fill("0.5")
    await watched.page.get_by_label("Max tokens").fill("2")
    await (await watched.ask("second question here")).until("done")
    copied = await snippets(watched, "curl", "Python", "OpenAI SDK", "Anthropic SDK")
    for name, code in copied.items():
        assert KEY not in code
        assert "first question" in code, name
        assert "temperature" in code, name
        assert 'Be \\"brief\\".' in code, name
    curl = copied.pop("curl").replace("curl -N", "curl -sN").replace("YOUR_KEY", KEY)
    assert text_of(parse((await prints("sh", "-c", curl)).encode())) == "second question"
    programs = [code.replace("YOUR_KEY", KEY) for code in copied.values()]
    assert await asyncio.gather(*map(python_prints, programs)) == ["second question"] * 3


async def fetch_file(url: str, folder: Path) -> None:
    """Do what the comment of a snippet says: ``curl -O``."""
    text = await asyncio.to_thread(lambda: urlopen(url).read())
    (folder / url.rpartition("/")[2]).write_bytes(text)


@asynccontextmanager
async def opened(browser: Browser, url: str) -> AsyncIterator[Page]:
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(60_000)
    await page.goto(url)
    yield page
    await context.close()


async def test_pages_show_the_answer_to_any_prompt(
    start_server: StartServer, watched: Watched, browser: Browser, project: Project, origin: str
) -> None:
    server = await start_server({"auth": {"cors_origins": [origin]}})
    await watched.open(server.url)
    await watched.message.fill(HOSTILE)
    copied = await snippets(watched, "EventSource", "fetch", "React", "Angular")
    folder = project.folder
    for name in ("client.js", "client-react.js"):
        await fetch_file(f"{server.url}/{name}", folder)
    (folder / "source.html").write_text(copied["EventSource"])
    (folder / "fetch.html").write_text(
        f'<!doctype html><meta charset="utf-8"><script type="module">{copied["fetch"]}</script>'
    )
    (folder / "answer.jsx").write_text(copied["React"])
    (folder / "react.jsx").write_text(REACT_MAIN)
    (folder / "answer.ts").write_text(copied["Angular"])
    (folder / "angular.ts").write_text(ANGULAR_MAIN)
    tsc = folder / "node_modules/typescript/bin/tsc"
    await output_of(
        project.node, tsc, *STRICT, "--moduleResolution", "bundler", "--module", "esnext", "answer.ts", cwd=folder
    )
    async with running_folder(folder, origin):
        for name in ("source", "fetch"):
            async with opened(browser, f"{origin}/{name}.html") as page:
                await expect(page.locator("output, body").last).to_contain_text("end")
                assert HOSTILE in str(await page.evaluate("() => document.body.textContent"))
        for entry, body in (("react.jsx", '<div id="root"></div>'), ("angular.ts", "<app-answer></app-answer>")):
            await project.bundle(entry)
            project.page(body)
            async with opened(browser, f"{origin}/index.html") as page:
                await page.get_by_role("button", name="Ask").click()
                await expect(page.locator("output")).to_contain_text("end")
                assert await page.locator("output").text_content() == HOSTILE
