"""The SDKs are not imported by a server, and what they would send is what is sent."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from providers import address
from providers.base import Attempt
from providers.build import ResiliencePolicy, build_catalog
from providers.sdk import sdk_differences
from providers.tables import read_options
from providers.transport import Transport
from tests.providers.asking import REGISTRY, ask, request
from tests.providers.test_openai_requests import POLLUTION
from tests.support.server import clean_environ

TABLES: list[dict[str, Any]] = [
    {"kind": "openai", "model": "gpt-4o"},
    {"kind": "openai", "model": "m", "api": "responses", "organization": "o", "project": "p"},
    {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:11434/v1/"},
    {"kind": "openai", "model": "m", "base_url": "https://exämple.org/a b/ü".replace(" ", "%20")},
    {"kind": "azure", "model": "our gpt/4o", "base_url": "https://r.openai.azure.com/"},
    {"kind": "azure", "model": "our gpt/4o", "base_url": "https://r.openai.azure.com", "api_version": "2024-10-21"},
    {
        "kind": "azure",
        "model": "d",
        "base_url": "https://r.openai.azure.com",
        "api": "responses",
        "api_version": "2024-10-21",
    },
    {"kind": "anthropic", "model": "claude"},
    {"kind": "anthropic", "model": "claude", "base_url": "http://127.0.0.1:4000/gateway/"},
    {"kind": "echo"},
]


@pytest.mark.parametrize("table", TABLES)
def test_address_and_headers_are_those_of_the_sdk(table: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in POLLUTION.items():
        monkeypatch.setenv(name, value)
    assert sdk_differences(read_options("x", table, REGISTRY)) == []


def test_sdk_differences_name_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "version", lambda package: "0.0.1")
    lines = sdk_differences(read_options("x", TABLES[0], REGISTRY))
    assert [line.split()[0] for line in lines] == ["user-agent", "x-stainless-package-version"]
    assert "'AsyncOpenAI/Python 0.0.1', and the SDK's is 'AsyncOpenAI/Python " in lines[0]


async def test_provider_is_not_ready_when_its_package_is_missing(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(address, "version", version)
    catalog = build_catalog(
        {"main": TABLES[0], "echo": {"kind": "echo", "delay_ms": 0}},
        default="main",
        fallback=("echo",),
        registry=REGISTRY,
        environ={},
        transport=transport,
        policy=ResiliencePolicy(first_token=5, idle=5, attempts=1, max_wait=1),
    )
    reasons = {each.name: each.reason for each in catalog}
    assert reasons["echo"] is None
    assert "No package metadata was found for openai" in str(reasons["main"])
    events = await ask(catalog.default.provider, request(model="gpt-4o"))
    answered_by = [event.provider for event in events if isinstance(event, Attempt)]
    assert answered_by[-1] == "echo", "a fallback is asked"


def test_no_sdk_is_imported_when_providers_are_built() -> None:
    program = f"""
import sys
from providers.base import Attempt
from providers.tables import read_options
from providers.options import Context
from providers.registry import load_registry
from providers.transport import AiohttpTransport
import streamserver.app, streamserver.commands.serve
registry = load_registry()
for table in {TABLES!r}:
    options = read_options("x", table, registry)
    registry.kind(options.kind).create(options, Context("x", AiohttpTransport(), api_key="k"))
imported = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(imported & {{"openai", "anthropic", "httpx", "httpx2", "pydantic", "rich"}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == ""
