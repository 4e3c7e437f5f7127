"""The documents on providers say what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from providers.catalog import ResiliencePolicy, build_catalog
from providers.resilience.breaker import FAILURES_TO_OPEN, FIRST_COOL_DOWN_SECONDS, LONGEST_COOL_DOWN_SECONDS
from providers.resilience.fallback import FALLBACK_ERRORS
from providers.transport import AiohttpTransport
from providers.validation import convert
from tests.providers.asking import REGISTRY

DOCS = Path(__file__).parents[2] / "docs"
PROVIDERS = (DOCS / "providers.md").read_text("utf-8")
PLUGINS = (DOCS / "plugins.md").read_text("utf-8")
EXAMPLE = DOCS / "examples/streamserver-ollama"

NAMED = [
    "ollama",
    "vllm",
    "llama-cpp",
    "lm-studio",
    "groq",
    "openrouter",
    "gemini",
    "deepseek",
    "mistral",
    "together",
    "xai",
]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def documented() -> dict[str, dict[str, Any]]:
    """Every ``[providers.NAME]`` table of the document."""
    tables: dict[str, dict[str, Any]] = {}
    for block in blocks(PROVIDERS, "toml"):
        tables |= tomllib.loads(block).get("providers", {})
    return tables


def test_every_documented_table_is_right_and_lacks_nothing_but_its_key() -> None:
    tables = documented()
    assert set(NAMED) <= tables.keys()
    environ = {str(table["api_key_env"]): "key" for table in tables.values() if "api_key_env" in table}
    catalog = build_catalog(
        tables,
        default="ollama",
        registry=REGISTRY,
        environ=environ,
        transport=AiohttpTransport(),
        policy=ResiliencePolicy(first_token=1, idle=1, attempts=1, max_wait=0),
    )
    assert [each.reason for each in catalog] == [None] * len(tables)


def test_every_option_of_every_kind_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PROVIDERS, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    kinds = [REGISTRY.kind(name) for name in REGISTRY.names]
    there = {field.name for kind in kinds for field in msgspec.structs.fields(kind.options)}
    assert told == there - {"kind"}


def test_the_breakers_numbers_are_the_documented_ones() -> None:
    assert f"After {FAILURES_TO_OPEN} failures in a row it is open for {FIRST_COOL_DOWN_SECONDS:g} seconds" in PROVIDERS
    assert re.search(rf"at most\s{LONGEST_COOL_DOWN_SECONDS:g} seconds", PROVIDERS)


def test_what_another_provider_may_cure_is_documented() -> None:
    said = re.search(r"Another provider may cure (.*?)\. It cannot", PROVIDERS, re.DOTALL)
    assert said is not None
    assert set(re.findall(r"`(\w+)`", said[1])) == {kind.code for kind in FALLBACK_ERRORS}


@pytest.mark.parametrize("name", ["pyproject.toml", "streamserver_ollama.py", "test_streamserver_ollama.py"])
def test_the_example_is_shown_as_it_is(name: str) -> None:
    source = (EXAMPLE / name).read_text("utf-8")
    assert source in blocks(PLUGINS, "toml" if name.endswith(".toml") else "python")


def test_the_documented_table_of_the_example_is_right() -> None:
    (table,) = (tomllib.loads(block)["providers"] for block in blocks(PLUGINS, "toml") if "[providers." in block)
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile((EXAMPLE / "streamserver_ollama.py").read_text("utf-8"), "example", "exec"), namespace)
    assert convert(table["local"], namespace["KIND"].options).model == "llama3.2"
