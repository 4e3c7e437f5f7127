"""The settings, the top-level config.toml and the contract are one table."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from providers.registry import load_registry
from streamserver.assets import default_config
from streamserver.config import Settings, load
from tests.support.contract import CONFIG

FILE = Path(__file__).parents[2] / "config.toml"


def leaves(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key by its dotted path, with its value."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value


def test_the_file_holds_every_setting_with_its_default_and_no_other() -> None:
    in_file = dict(leaves(tomllib.loads(FILE.read_text("utf-8"))))
    built_in = dict(leaves(msgspec.to_builtins(Settings())))
    assert in_file == built_in


def test_every_key_of_the_contract_is_there_with_the_contracts_default() -> None:
    built_in = dict(leaves(msgspec.to_builtins(Settings())))
    for key, value in leaves(tomllib.loads(CONFIG)):
        assert built_in[key] == value, key


def test_the_built_in_defaults_are_the_file() -> None:
    assert default_config() == FILE.read_text("utf-8")
    loaded = load(str(FILE), registry=load_registry([]), environ={})
    assert loaded.settings == Settings()


def test_every_line_of_the_file_is_commented_or_plain() -> None:
    settings = [line for line in FILE.read_text("utf-8").splitlines() if "=" in line and not line.startswith("#")]
    assert len(settings) > 30
    assert all(len(line) <= 130 for line in settings), "a comment that nobody can read without scrolling"
