"""An ordinary run of the tests draws the same examples as the one before."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.properties import EXPLORE_FACTOR, examples, profile

TESTS = Path(__file__).parent


def drawn() -> list[str]:
    """Draw the examples of a test."""
    seen: list[str] = []

    @given(st.text())
    def draw(text: str) -> None:
        seen.append(text)

    draw()
    return seen


@pytest.fixture
def ordinary() -> bool:
    """Return whether this run is no exploration."""
    return profile().derandomize


def test_examples_are_the_same_when_another_module_was_loaded(
    ordinary: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = drawn()
    (tmp_path / "constants_to_draw.py").write_text("".join(f"A{n} = 'constant {n}'\n" for n in range(1000)))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("constants_to_draw")
    assert (drawn() == before) is ordinary


def test_exploration_multiplies_the_examples_that_a_test_asks_for(ordinary: bool) -> None:
    assert examples(7).max_examples == 7 * (1 if ordinary else EXPLORE_FACTOR)
    assert examples(7).derandomize is ordinary


def test_tests_name_no_number_of_examples_that_an_exploration_could_not_multiply() -> None:
    own = (TESTS / "support/properties.py", Path(__file__))
    others = [path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts and path not in own]
    assert len(others) > 200
    assert [path for path in others if re.search(r"\bmax_examples=|\bderandomize=", path.read_text("utf-8"))] == []
