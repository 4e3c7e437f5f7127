"""The documents on providers say what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from providers.base import ChatRequest, Message
from providers.build import ResiliencePolicy, build_catalog
from providers.errors import BY_CODE
from providers.resilience.breaker import FAILURES_TO_OPEN, FIRST_COOL_DOWN_SECONDS, LONGEST_COOL_DOWN_SECONDS
from providers.resilience.fallback import FALLBACK_ERRORS
from providers.transport import AiohttpTransport
from providers.validation import convert
from tests.providers.asking import REGISTRY

DOCS = Path(__file__).parents[2] / "docs"
PROVIDERS = (DOCS / "providers.md").read_text("utf-8")
PLUGINS = (DOCS / "plugins.md").read_text("utf-8")
EXAMPLE = DOCS / "examples/streamserver-ollama"
PROGRAM = DOCS / "examples/streamserver-program"
SHOWN = [
    *(EXAMPLE / name for name in ("pyproject.toml", "streamserver_ollama.py", "test_streamserver_ollama.py")),
    *(PROGRAM / name for name in ("streamserver_program.py", "test_streamserver_program.py")),
]

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
    """Return every ``[providers.NAME]`` table of the document."""
    tables: dict[str, dict[str, Any]] = {}
    for block in blocks(PROVIDERS, "toml"):
        tables |= tomllib.loads(block).get("providers", {})
    return tables


def test_documented_tables_lack_only_their_keys() -> None:
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


def test_documented_options_are_those_of_the_kinds() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PROVIDERS, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    kinds = [REGISTRY.kind(name) for name in REGISTRY.names]
    there = {field.name for kind in kinds for field in msgspec.structs.fields(kind.options)}
    assert told == there - {"kind"}


def test_documented_numbers_are_the_breakers() -> None:
    assert f"After {FAILURES_TO_OPEN} failures in a row it is open for {FIRST_COOL_DOWN_SECONDS:g} seconds" in PROVIDERS
    assert re.search(rf"at most\s{LONGEST_COOL_DOWN_SECONDS:g} seconds", PROVIDERS)


def test_documented_errors_are_those_that_a_fallback_is_asked_for() -> None:
    said = re.search(r"Another provider may cure (.*?)\. It cannot", PROVIDERS, re.DOTALL)
    assert said is not None
    assert set(re.findall(r"`(\w+)`", said[1])) == {kind.code for kind in FALLBACK_ERRORS}


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)
def test_documented_example_is_the_file(path: Path) -> None:
    assert path.read_text("utf-8") in blocks(PLUGINS, "toml" if path.suffix == ".toml" else "python")


def test_documented_tables_of_the_examples_are_valid() -> None:
    tables = [tomllib.loads(block)["providers"]["local"] for block in blocks(PLUGINS, "toml") if "[providers." in block]
    for table, module in zip(tables, ("streamserver-ollama", "streamserver-program"), strict=True):
        source = DOCS / "examples" / module / f"{module.replace('-', '_')}.py"
        namespace: dict[str, Any] = {"__name__": "example"}
        exec(compile(source.read_text("utf-8"), "example", "exec"), namespace)
        assert convert(table, namespace["KIND"].options).kind == table["kind"]


def table_of(heading: str) -> list[list[str]]:
    """Return the words in backquotes of each cell of the documented table with the first heading ``heading``."""
    rows = PLUGINS.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [
        [" ".join(re.findall(r"`(\w+)[`(]", cell)) or cell.strip() for cell in row.split("|")[1:-1]] for row in rows
    ]


@pytest.mark.parametrize("value", [ChatRequest, Message])
def test_documented_fields_are_those_that_a_plug_in_is_given(value: type[msgspec.Struct]) -> None:
    told = [name for row in table_of(f"`{value.__name__}`") for name in row[0].split()]
    assert sorted(told) == sorted(field.name for field in msgspec.structs.fields(value))


def test_documented_errors_are_those_that_a_plug_in_may_raise() -> None:
    told = {name: (code, retryable == "yes") for name, code, retryable, _ in table_of("class")}
    assert told == {kind.__name__: (code, kind.retryable) for code, kind in BY_CODE.items()}
