"""Collects which clients passed their tests, for the table in the documentation."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator

import pytest

from tests.clients.table import PAGE, VARIABLE, Client, with_rows

_passed: Counter[Client] = Counter()
_unfinished: set[Client] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    clients: tuple[Client, ...] = getattr(getattr(item, "module", None), "CLIENTS", ())
    if not report.passed:
        _unfinished.update(clients)
    elif report.when == "call":
        _passed.update(clients)
    return report


def pytest_sessionfinish() -> None:
    if os.environ.get(VARIABLE):
        rows = {client: count for client, count in _passed.items() if client not in _unfinished}
        PAGE.write_text(with_rows(PAGE.read_text("utf-8"), rows), "utf-8")
