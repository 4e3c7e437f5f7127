"""Kinds are found by name; a broken plug-in does not keep the server from starting."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from providers.base import Provider
from providers.options import Context, Options
from providers.registry import GROUP, Kind, UnknownKind, load_registry


class PlugInOptions(Options, frozen=True, kw_only=True):
    volume: int = 1


def create(options: PlugInOptions, context: Context) -> Provider:
    raise NotImplementedError


KIND = Kind(PlugInOptions, create)
NOT_A_KIND = 7


def plugin(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{value}" if ":" not in value else value, GROUP)


def test_registry_has_the_built_in_kinds() -> None:
    registry = load_registry([])
    assert registry.names == ["anthropic", "azure", "echo", "openai"]
    assert all(issubclass(registry.kind(name).options, Options) for name in registry.names)


@pytest.mark.parametrize(("name", "near"), [("opnai", "'openai'"), ("Anthropic", "'anthropic'"), ("ehco", "'echo'")])
def test_unknown_kind_lists_the_known_ones_and_the_near_miss(name: str, near: str) -> None:
    with pytest.raises(UnknownKind, match=f"anthropic, azure, echo, openai; did you mean {near}"):
        load_registry([]).kind(name)


def test_unknown_kind_lists_the_known_ones_when_none_is_near() -> None:
    with pytest.raises(UnknownKind) as caught:
        load_registry([]).kind("zzz")
    assert str(caught.value) == "expected one of anthropic, azure, echo, openai"


def test_plug_in_is_a_kind_like_any_other() -> None:
    registry = load_registry([plugin("mine", "KIND")])
    assert registry.kind("mine") is KIND
    assert "mine" in registry.names
    assert registry.broken == {}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mine", "no.such.module:KIND", "ModuleNotFoundError"),
        ("mine", "NO_SUCH_NAME", "AttributeError"),
        ("mine", "NOT_A_KIND", "is not a providers.Kind"),
        ("echo", "KIND", "there is a kind 'echo' already"),
    ],
)
def test_broken_plug_in_is_named_and_the_rest_works(name: str, value: str, said: str) -> None:
    registry = load_registry([plugin(name, value), plugin("good", "KIND")])
    assert said in registry.broken[name]
    assert registry.kind("good") is KIND
    assert registry.kind("echo") is not KIND
    if name == "mine":
        with pytest.raises(UnknownKind, match="cannot be loaded"):
            registry.kind("mine")


def test_registry_takes_the_first_of_two_installations_of_a_plug_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, value in (("first", f"{__name__}:KIND"), ("second", "no.such.module:KIND")):
        info = tmp_path / folder / "mine-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[other]\nx = y:z\n[{GROUP}]\nmine = {value}\n")
        monkeypatch.syspath_prepend(tmp_path / folder)
    monkeypatch.syspath_prepend(tmp_path / "first")
    registry = load_registry()
    assert registry.kind("mine") is KIND
    assert registry.broken == {}
    assert "x" not in registry.names


def test_registry_of_kinds_is_immutable() -> None:
    registry = load_registry([])
    with pytest.raises(TypeError):
        registry.broken["x"] = "y"  # type: ignore[index]
