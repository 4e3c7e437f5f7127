"""The route table decides which addresses need a key, and which other sites' pages may ask, wherever it is mounted."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streamserver import create_app, settings
from streamserver.http.apis import APIS
from streamserver.http.routing import Access, Router

PUBLIC = ("/", "/healthz", "/readyz", "/openapi.json", "/app.js", "/nothing", "/apis", "/v1x/models")
API = ("/api/chat/stream", "/api/chat/streams/x", "/api/providers", "/api", "/api/nothing")


def test_every_route_of_a_guarded_api_needs_a_key_or_a_stream_id() -> None:
    public = {route.path for api, route in Router(APIS) if api.guarded and route.access is Access.PUBLIC}
    assert public == {"/api/hello"}, "Claude Code asks it whether the server is there"


def test_every_path_belongs_to_the_api_with_the_longest_prefix() -> None:
    router = Router(APIS)
    assert router.api_at("/api/chat/stream").name == router.api_at("/api").name == "native"
    assert router.api_at("/apis").name == router.api_at("/").name == "site"


@pytest.mark.parametrize("prefix", ["/", "/tools/chat/", "/api/", "/v1/", "/internal/api/v1/chat/"])
async def test_mounted_app_guards_its_api_and_nothing_else(prefix: str) -> None:
    inner = create_app(settings({"provider": {"default": "echo"}}), environ={"STREAMSERVER_KEYS": "anna:key"})
    app = inner
    if prefix != "/":
        app = web.Application()
        app.add_subapp(prefix, inner)
    stranger = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example", "X-API-Key": "key"}
    async with TestClient(TestServer(app)) as client:
        for path in (*API, *PUBLIC):
            address = prefix.rstrip("/") + path
            async with client.get(address, headers=stranger) as response:
                assert (response.status == 403) is (path in API), path
            if path != "/api/chat/streams/x":  # its id is a secret of its own
                async with client.get(address) as response:
                    assert (response.status == 401) is (path in API), path
        async with client.get(f"{prefix}metrics") as response:
            assert response.status == 401
