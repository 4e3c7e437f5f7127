"""The tables of tests and documents that hold for every wire have a row for each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from streamserver.http.apis import APIS
from tests.faults.wire_answers import FORMS
from tests.http import fields, test_every_api
from tests.wire import test_every_wire

DOCS = Path(__file__).parents[2] / "docs"
NAMES = {api.name for api in APIS} - {"models", "site"}
"""The APIs that stream; the others have no wire."""
OWN_TESTS = {"native"}
"""The wires that these tables leave out, because all the other tests are of them."""


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ("tests/wire/test_every_wire.py", [wire.name for wire in test_every_wire.WIRES]),
        ("tests/http/test_every_api.py", test_every_api.PATHS),
        ("tests/http/fields.py", fields.WIRES),
        ("tests/faults/wire_answers.py", [form.wire for form in FORMS]),
    ],
)
def test_table_of_tests_has_a_row_for_every_wire(table: str, names: Iterable[str]) -> None:
    assert set(names) == NAMES - OWN_TESTS, table


@pytest.mark.parametrize("page", ["metrics.md", "logs.md"])
def test_documents_of_the_wire_label_name_every_wire(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    assert {name for name in NAMES if f"`{name}`" not in text} == set()
