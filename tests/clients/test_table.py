"""The table of clients names what the tests run."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.clients.table import PAGE, VARIABLE, Client, rows_of, with_rows

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
MODULES = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FOLDER.rglob("test_*.py"))
A, B = Client("a", "1", "chat", "a.md"), Client("b", "2", "chat", "b.md")


@pytest.mark.parametrize("module", MODULES)
def test_table_has_a_row_for_every_client_in_the_version_that_is_tested(module: str) -> None:
    rows = rows_of(PAGE.read_text("utf-8")).values()
    for client in getattr(importlib.import_module(module), "CLIENTS", ()):
        begin = client.row(0).rpartition("| ")[0].removesuffix(" ").rpartition(" |")[0]
        assert any(row.startswith(begin) for row in rows), f"{VARIABLE}=1 pytest tests/clients writes the table"
        assert (PAGE.parent / client.page.partition("#")[0]).exists()


def test_rows_are_replaced_and_added_and_the_rest_of_the_page_stays() -> None:
    page = with_rows("# Page\n\n| client | version | protocol | tests |\n|---|---|---|---|\n\nEnd.\n", {B: 3})
    page = with_rows(page, {A: 1, Client("b", "4", "chat", "b.md"): 2})
    assert page.splitlines()[4:] == ["| [a](a.md) | 1 | chat | 1 |", "| [b](b.md) | 4 | chat | 2 |", "", "End."]
