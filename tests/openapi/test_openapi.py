"""The description at ``/openapi.json``."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import aiohttp

from streamserver.config import Settings
from streamserver.http.apis import APIS
from streamserver.http.apis.native.fields import ChatFields
from streamserver.http.openapi import describe
from streamserver.http.routing import Router
from streamserver.wire.problem import STATUS
from tests.conftest import StartServer
from tests.support.commands import output_of

ROUTER = Router(APIS)
HERE = Path(__file__).parent


async def described(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(f"{url}/openapi.json") as response:
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


async def test_description_has_every_route_every_field_and_the_effective_limits(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"limits": {"max_tokens": 77, "max_prompt_chars": 99}})
    document = await described(http, server.url)
    assert document["openapi"] == "3.1.0"
    operations = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert operations == {
        (route.method, re.sub(r":[^}]*}", "}", route.path)) for _, route in ROUTER if route.operation is not None
    }
    body = document["components"]["schemas"]["ChatFields"]
    assert set(body["properties"]) == set(ChatFields.__struct_fields__)
    assert body["properties"]["max_tokens"]["anyOf"][0]["maximum"] == 77
    assert body["properties"]["prompt"]["anyOf"][0]["maxLength"] == 99
    assert body["properties"]["provider"]["anyOf"][0]["enum"] == ["echo"]
    refused = {code for item in document["paths"].values() for each in item.values() for code in each["responses"]}
    assert {str(status) for status in STATUS.values()} - {"401"} <= refused, "every status of a problem, but keys'"


def test_operations_that_take_a_position_describe_it() -> None:
    paths = describe(Settings(), ROUTER, with_keys=False)["paths"]
    for path, method in (("stream", "get"), ("stream", "post"), ("streams/{stream_id}", "get")):
        parameters = paths[f"/api/chat/{path}"][method]["parameters"]
        found = {(each["in"], each["name"]): each["schema"] for each in parameters}
        for name in (("query", "last_event_id"), ("header", "Last-Event-ID")):
            for text in ("", "abc:end", "abc:" + "9" * 100):
                assert re.search(found[name]["pattern"], text), "what the server takes"
            assert not re.search(found[name]["pattern"], "abc:" + "9" * 101)


def test_operations_describe_their_refusals() -> None:
    paths = describe(Settings(), ROUTER, with_keys=True)["paths"]
    for path, item in paths.items():
        for method, operation in item.items():
            assert {"403", "405", "500"} <= set(operation["responses"]), (path, method)
    assert {"400", "401", "422"} <= set(paths["/api/providers"]["get"]["responses"])
    assert "401" in paths["/metrics"]["get"]["responses"]
    said = paths["/api/chat/stream"]["get"]["responses"]["503"]["description"]
    assert said == "`overloaded`, `shutting_down`, `store_unavailable`"


def test_every_route_of_a_guarded_api_is_described() -> None:
    not_served = ["/v1/responses/input_tokens", "/v1/responses/compact"]
    undescribed = [route.path for api, route in ROUTER if api.guarded and route.operation is None]
    assert sorted(undescribed) == sorted(["/api/hello", *not_served])
    assert [route.path for _, route in ROUTER if route.operation is not None and not route.summary] == []


async def test_operations_describe_whether_they_need_a_key_when_keys_are_configured(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server(
        {"providers": {"hidden-from-strangers": {"kind": "echo"}}}, environ={"STREAMSERVER_KEYS": "anna:key"}
    )
    document = await described(http, server.url)
    assert "hidden-from-strangers" not in json.dumps(document), "it needs no key itself"
    paths = document["paths"]
    assert paths["/api/providers"]["get"]["security"] and "401" in paths["/api/chat/stream"]["get"]["responses"]
    assert "security" not in paths["/healthz"]["get"]
    assert "security" not in paths["/api/chat/streams/{stream_id}"]["get"]


async def test_schemathesis_finds_no_difference_between_description_and_server(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Run briefly and deterministically. A full run is ``st run`` without ``--max-examples`` and ``--seed``."""
    program = (sys.executable, "-c", "import schemathesis.cli; schemathesis.cli.schemathesis()")
    server = await start_server({"resume": {"attach_seconds": 0.1, "retention_seconds": 5}})
    await output_of(
        *(*program, "--config-file", str(HERE / "schemathesis.toml"), "run"),
        *(f"{server.url}/openapi.json", "--max-examples", "5", "--seed", "1"),
        *("--continue-on-failure", "--no-color"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "", "SCHEMATHESIS_HOOKS": str(HERE / "exceptions.py")},
        seconds=240,
    )
    assert server.records("crash") == []
