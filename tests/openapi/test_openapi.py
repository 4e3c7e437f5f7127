"""``/openapi.json`` is of this server: its routes, its models, its limits; and it is true."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamserver.http.chat import ChatFields
from streamserver.http.problems import STATUS
from streamserver.http.routes import ROUTES
from tests.conftest import StartServer


async def described(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(f"{url}/openapi.json") as response:
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


async def test_it_has_every_route_every_field_and_the_limits_in_force(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"limits": {"max_tokens": 77, "max_prompt_chars": 99}})
    document = await described(http, server.url)
    assert document["openapi"] == "3.1.0"
    operations = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    pages = {("GET", "/"), ("GET", "/openapi.json")}
    assert operations | pages == {(method, path) for method, path, _ in ROUTES if "{name" not in path}
    body = document["components"]["schemas"]["ChatFields"]
    assert set(body["properties"]) == set(ChatFields.__struct_fields__)
    assert body["properties"]["max_tokens"]["anyOf"][0]["maximum"] == 77
    assert body["properties"]["prompt"]["anyOf"][0]["maxLength"] == 99
    assert body["properties"]["provider"]["anyOf"][0]["enum"] == ["echo"]
    refused = {code for item in document["paths"].values() for each in item.values() for code in each["responses"]}
    assert {str(status) for status in STATUS.values()} - {"401"} <= refused, "every status of a problem, but keys'"


async def test_with_keys_it_says_which_need_one(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server(
        {"providers": {"hidden-from-strangers": {"kind": "echo"}}}, environ={"STREAMSERVER_KEYS": "anna:key"}
    )
    document = await described(http, server.url)
    assert "hidden-from-strangers" not in json.dumps(document), "it needs no key itself"
    paths = document["paths"]
    assert paths["/api/providers"]["get"]["security"] and "401" in paths["/api/chat/stream"]["get"]["responses"]
    assert "security" not in paths["/healthz"]["get"]
    assert "security" not in paths["/api/chat/streams/{stream_id}"]["get"]


async def test_schemathesis_finds_nothing(start_server: StartServer, tmp_path: Path) -> None:
    """A short run; the whole one is ``st run`` without ``--max-examples``."""
    program = Path(sys.executable).with_name("st")
    found = str(program) if program.exists() else shutil.which("schemathesis")
    if found is None:
        pytest.skip("needs schemathesis: pip install schemathesis")
    server = await start_server({"resume": {"attach_seconds": 0.1, "retention_seconds": 5}})
    process = await asyncio.create_subprocess_exec(
        *(found, "--config-file", str(Path(__file__).with_name("schemathesis.toml")), "run"),
        *(f"{server.url}/openapi.json", "--max-examples", "5", "--continue-on-failure", "--no-color"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(240):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    assert server.records("crash") == []
