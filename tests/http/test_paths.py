"""One rule says which addresses are guarded: those of the table, those that are none, and under any prefix."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from streamserver import create_app, settings
from streamserver.http.paths import is_api, is_private
from streamserver.http.routes import ROUTES

PUBLIC = ("/", "/healthz", "/readyz", "/openapi.json", "/app.js", "/nothing", "/apis", "/v1x/models")
API = ("/api/chat/stream", "/api/chat/streams/x", "/api/providers", "/api", "/api/nothing", "/v1", "/v1/models")


@pytest.mark.parametrize("prefix", ["", "/tools/chat"])
def test_the_api_and_the_metrics_are_guarded_and_nothing_else(prefix: str) -> None:
    for path in PUBLIC:
        assert not is_private(make_mocked_request("GET", prefix + path)), path
    for path in API:
        request = make_mocked_request("GET", prefix + path)
        assert is_api(request) and is_private(request), path
    request = make_mocked_request("GET", f"{prefix}/metrics")
    assert is_private(request) and not is_api(request)


def test_every_route_is_one_or_the_other() -> None:
    private = {path for _, path, _ in ROUTES if is_private(make_mocked_request("GET", path))}
    assert {path for path in private if not path.startswith("/api/")} == {"/metrics"}
    assert {path for _, path, _ in ROUTES if path.startswith(("/api", "/v1"))} < private


@pytest.mark.parametrize("prefix", ["/", "/tools/chat/"])
async def test_who_has_no_key_and_who_is_a_stranger_meets_the_same_rule(prefix: str) -> None:
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
