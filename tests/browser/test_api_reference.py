"""The API reference page: complete, readable on a phone, and loaded from its own server alone."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streamserver import settings
from streamserver.http.openapi import describe
from streamserver.http.pages import _SECURITY, page
from streamserver.http.routes import ROUTES
from tests.browser.conftest import Watched

DESCRIPTION = describe(settings({}), ROUTES, with_keys=True)
OPERATIONS = [(method, path) for path, item in DESCRIPTION["paths"].items() for method in item]


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """The page's files under the demo's own security policy, below a path prefix."""

    async def docs(request: web.Request) -> web.StreamResponse:
        request.match_info["name"] = "docs.html"
        return await page(request)

    async def openapi(request: web.Request) -> web.StreamResponse:
        return web.json_response(DESCRIPTION, headers=_SECURITY)

    app = web.Application()
    app.router.add_get("/llm/docs", docs)
    app.router.add_get("/llm/openapi.json", openapi)
    app.router.add_get("/llm/{name}", page)
    async with TestServer(app) as started:
        yield started


async def open_reference(watched: Watched, server: TestServer) -> None:
    await watched.page.goto(str(server.make_url("/llm/docs")))
    await watched.page.locator("section h2").first.wait_for()


async def test_reference_shows_every_operation_and_schema(watched: Watched, server: TestServer) -> None:
    await open_reference(watched, server)
    headings = await watched.page.locator("section h2").all_text_contents()
    assert headings == [
        *(f"{method.upper()} {path}" for method, path in OPERATIONS),
        *DESCRIPTION["components"]["schemas"],
    ]
    fields = await watched.page.locator("#schema-chatfields td:first-child code").all_text_contents()
    assert fields == list(DESCRIPTION["components"]["schemas"]["ChatFields"]["properties"])
    assert await watched.page.locator("section .key").count() == sum(
        "security" in DESCRIPTION["paths"][path][method] for method, path in OPERATIONS
    )


async def test_reference_loads_nothing_from_another_host(watched: Watched, server: TestServer) -> None:
    asked: list[str] = []
    watched.page.on("request", lambda request: asked.append(request.url))
    await open_reference(watched, server)
    assert {urlsplit(url).netloc for url in asked} == {f"{server.host}:{server.port}"}
    assert {urlsplit(url).path for url in asked} >= {"/llm/docs", "/llm/docs.js", "/llm/docs.css", "/llm/openapi.json"}


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_reference_fits_the_window(watched: Watched, server: TestServer, width: int, scheme: str) -> None:
    await watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await watched.page.set_viewport_size({"width": width, "height": 800})
    await open_reference(watched, server)
    assert await watched.page.evaluate("document.documentElement.scrollWidth") <= width
    assert await watched.page.locator("h1").count() == 1


async def test_links_lead_to_sections_and_commands_to_the_server(watched: Watched, server: TestServer) -> None:
    await open_reference(watched, server)
    targets = await watched.page.locator("main a, nav a").evaluate_all("links => links.map(link => link.hash.slice(1))")
    ids = await watched.page.locator("section").evaluate_all("sections => sections.map(section => section.id)")
    assert targets and set(targets) <= set(ids)
    command = shlex.split(await watched.page.locator("#post-api-chat-stream pre").inner_text())
    assert command[:4] == ["curl", "-N", "-X", "POST"]
    assert command[-1] == str(server.make_url("/llm/api/chat/stream"))


async def test_reference_says_what_is_wrong_when_the_description_is_not_there(watched: Watched) -> None:
    app = web.Application()
    app.router.add_get("/{name}", page)
    async with TestServer(app) as started:
        await watched.page.goto(str(started.make_url("/docs.html")))
        status = watched.page.get_by_role("status")
        await status.filter(has_text="could not be loaded").wait_for()
        assert "status 404" in (await status.text_content() or "")
