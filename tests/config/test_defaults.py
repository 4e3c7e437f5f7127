"""The settings, config.toml, docs/settings.md and the contract are one table."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from providers.registry import load_registry
from streamserver.assets import default_config
from streamserver.config import Settings, load
from streamserver.config.reference import with_tables
from streamserver.config.settings import User
from streamserver.config.table import SETTINGS, Setting, rows
from tests.support.contract import CONFIG

ROOT = Path(__file__).parents[2]
FILE = ROOT / "config.toml"
PAGE = ROOT / "docs" / "settings.md"


def leaves(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key by its dotted path, with its value."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value


def comments(text: str) -> dict[str, str]:
    """Return the comment behind every key of a TOML file, by the key's dotted path."""
    found, section = {}, ""
    for line in text.splitlines():
        if table := re.match(r"(?:# )?\[([\w.]+)\]", line):
            section = table[1]
        elif key := re.match(r"(?:# )?(\w+) = .*?\s+# (.*)$", line):
            found[f"{section}.{key[1]}"] = key[2]
    return found


def test_config_file_holds_every_setting_with_its_default_and_no_other() -> None:
    in_file = dict(leaves(tomllib.loads(FILE.read_text("utf-8"))))
    built_in = dict(leaves(msgspec.to_builtins(Settings())))
    assert in_file == built_in


def test_config_file_says_of_every_setting_what_the_table_says() -> None:
    said = comments(FILE.read_text("utf-8"))
    every = [row for row in SETTINGS if row.path != "auth.users"]
    every += rows("auth.users.anna", User)
    assert len(every) > 40
    assert {row.path: said.get(row.path) for row in every} == {row.path: row.about.meaning for row in every}


def test_settings_page_has_the_table_of_every_section() -> None:
    page = PAGE.read_text("utf-8")
    assert with_tables(page) == page, "run python -m streamserver.config.reference docs/settings.md"
    for row in (*SETTINGS, *rows("auth.users.NAME", User)):
        assert f"| `{row.path}` |" in page


def test_settings_page_lists_what_a_shared_store_copies() -> None:
    section = (
        PAGE.read_text("utf-8").partition("With a shared store the store has its own copy")[2].partition("\n## ")[0]
    )
    assert set(re.findall(r"`([a-z]+\.[a-z_]+)`", section)) == {
        row.path for row in SETTINGS if row.about.copied_by_store
    }


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.path)
def test_meaning_of_a_number_names_its_unit(row: Setting) -> None:
    if type(row.default) in (int, float) and row.path != "server.port":
        unit = re.search(r"_(seconds|bytes|chars|tokens|minute|day)$", row.key)
        words = {"minute": "minute", "day": "24 hours", "chars": "characters"}
        expected = words.get(unit[1], unit[1]) if unit else "seconds" if "seconds" in row.allowed else ""
        assert expected in row.about.meaning


def test_settings_have_every_key_of_the_contract_with_its_default() -> None:
    built_in = dict(leaves(msgspec.to_builtins(Settings())))
    for key, value in leaves(tomllib.loads(CONFIG)):
        assert built_in[key] == value, key


def test_built_in_defaults_are_the_config_file() -> None:
    assert default_config() == FILE.read_text("utf-8")
    loaded = load(str(FILE), registry=load_registry([]), environ={})
    assert loaded.settings == Settings()


def test_config_file_can_be_read_without_scrolling() -> None:
    lines = FILE.read_text("utf-8").splitlines()
    assert [line for line in lines if len(line) > 131] == []
