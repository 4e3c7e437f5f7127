"""The API reference page: complete, readable on a phone, and loaded from its own server alone."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.browser.conftest import Watched
from tests.conftest import StartServer
from tests.support.server import ServerProcess


@pytest_asyncio.fixture(loop_scope="session")
async def server(start_server: StartServer) -> ServerProcess:
    started: ServerProcess = await start_server(environ={"STREAMSERVER_KEYS": "anna:a-key"})
    return started


@pytest.fixture
def description(server: ServerProcess) -> Any:
    with urllib.request.urlopen(f"{server.url}/openapi.json", timeout=60) as response:
        return json.load(response)


async def open_reference(watched: Watched, server: ServerProcess) -> None:
    await watched.page.goto(f"{server.url}/docs")
    await watched.page.locator("section h2").first.wait_for()


async def test_reference_shows_every_operation_and_schema(
    watched: Watched, server: ServerProcess, description: Any
) -> None:
    operations = [(method, path) for path, item in description["paths"].items() for method in item]
    await open_reference(watched, server)
    headings = await watched.page.locator("section h2").all_text_contents()
    assert headings == [
        *(f"{method.upper()} {path}" for method, path in operations),
        *description["components"]["schemas"],
    ]
    fields = await watched.page.locator("#schema-chatfields td:first-child code").all_text_contents()
    assert fields == list(description["components"]["schemas"]["ChatFields"]["properties"])
    assert await watched.page.locator("section .key").count() == sum(
        "security" in description["paths"][path][method] for method, path in operations
    )


async def test_reference_loads_nothing_from_another_host(watched: Watched, server: ServerProcess) -> None:
    asked: list[str] = []
    watched.page.on("request", lambda request: asked.append(request.url))
    await open_reference(watched, server)
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(server.url).netloc}
    assert {urlsplit(url).path for url in asked} >= {"/docs", "/docs.js", "/docs.css", "/openapi.json"}


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_reference_fits_the_window(watched: Watched, server: ServerProcess, width: int, scheme: str) -> None:
    await watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await watched.page.set_viewport_size({"width": width, "height": 800})
    await open_reference(watched, server)
    assert await watched.page.evaluate("document.documentElement.scrollWidth") <= width
    assert await watched.page.locator("h1").count() == 1


async def test_links_lead_to_sections(watched: Watched, server: ServerProcess) -> None:
    await open_reference(watched, server)
    targets = await watched.page.locator("main a, nav a").evaluate_all("links => links.map(link => link.hash.slice(1))")
    ids = await watched.page.locator("section").evaluate_all("sections => sections.map(section => section.id)")
    assert targets and set(targets) <= set(ids)


async def test_commands_that_need_no_id_succeed_as_they_are_shown(watched: Watched, server: ServerProcess) -> None:
    await open_reference(watched, server)
    shown = [text for text in await watched.page.locator("section pre").all_inner_texts() if "_ID" not in text]
    posts = [text for text in shown if "-X POST" in text]
    assert len(shown) >= 10 and len(posts) >= 7
    for text in shown:
        words = shlex.split(text.replace("Bearer KEY", "Bearer a-key").replace("/MODEL'", "/echo'"))
        done = await asyncio.to_thread(
            subprocess.run, [*words, "-sS", "-f"], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        assert "hello" in done.stdout or text not in posts or "_tokens" in text or "streams" in text, done.stdout


async def test_reference_shows_bounds_of_optional_fields(watched: Watched, server: ServerProcess) -> None:
    await open_reference(watched, server)
    row = watched.page.locator("#schema-chatfields tr", has=watched.page.locator("code", has_text="max_tokens"))
    assert "at least 1, at most 4096" in (await row.first.text_content() or "")


async def test_reference_says_what_is_wrong_when_the_description_is_not_there(
    watched: Watched, server: ServerProcess
) -> None:
    await watched.page.route("**/openapi.json", lambda route: route.fulfill(status=503))
    await watched.page.goto(f"{server.url}/docs")
    status = watched.page.get_by_role("status")
    await status.filter(has_text="could not be loaded").wait_for()
    assert "status 503" in (await status.text_content() or "")
