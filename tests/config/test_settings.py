"""Settings from tables, for applications that embed the server: as from a file with the same tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import streamserver
from providers.options import Options
from providers.registry import Kind, Registry, load_registry
from streamserver import ConfigError, Settings, load

REGISTRY = load_registry([])


def test_empty_tables_are_the_defaults() -> None:
    assert streamserver.settings({}) == Settings()


RIGHT: list[dict[str, Any]] = [
    {"provider": {"default": "echo"}, "limits": {"max_tokens": 7}},
    {"provider": {"default": "mine"}, "providers": {"mine": {"kind": "echo", "delay_ms": 0}}},
    {"auth": {"users": {"anna": {"max_tokens": 5}}}, "server": {"allowed_hosts": ["a.b"]}},
]

WRONG: list[dict[str, Any]] = [
    {"limits": {"max_promt_chars": 1}},
    {"limits": {"max_tokens": 0}},
    {"limits": 1},
    {"port": 1},
    {"provider": {"default": "opnai"}},
    {"providers": {"openai": {"kind": "opnai"}}},
    {"providers": {"openai": {"kind": "openai"}}},
    {"resume": {"grace_seconds": 61}},
    {"providers": {"openai": {"kind": "openai", "model": "m", "api_key": "sk-verysecret"}}},
    {"resume": {"store": "redis:/user:verysecret@h"}},
]


def from_file(tables: Mapping[str, Any], folder: Path) -> Settings:
    path = folder / "my.toml"
    path.write_text(tomli_w.dumps(tables), "utf-8")
    return load(str(path), registry=REGISTRY, environ={}).settings


@pytest.mark.parametrize("tables", RIGHT)
def test_tables_make_the_settings_of_a_file_with_them(tmp_path: Path, tables: dict[str, Any]) -> None:
    assert streamserver.settings(tables) == from_file(tables, tmp_path)


@pytest.mark.parametrize("tables", WRONG)
def test_tables_are_refused_in_the_words_of_a_file(tmp_path: Path, tables: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as of_file:
        from_file(tables, tmp_path)
    with pytest.raises(ConfigError) as caught:
        streamserver.settings(tables)
    assert str(caught.value) == str(of_file.value).replace(str(tmp_path / "my.toml"), "settings")
    assert "verysecret" not in str(caught.value)


def test_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSERVER_LIMITS__MAX_TOKENS", "5")
    monkeypatch.setenv("STREAMSERVER_CONFIG", "/none.toml")
    assert streamserver.settings({}) == Settings()


def test_kinds_of_a_given_registry_are_known() -> None:
    def create(options: Any, context: Any) -> Any:
        """Raise: it is never asked."""

    registry = Registry({"mine": lambda: Kind(Options, create)}, {})
    tables = {"provider": {"default": "x"}, "providers": {"x": {"kind": "mine", "model": "m"}}}
    assert streamserver.settings(tables, registry=registry).providers == tables["providers"]
    with pytest.raises(ConfigError, match="expected one of mine"):
        streamserver.settings({}, registry=registry)
