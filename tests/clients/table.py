"""The table of clients in ``docs/clients/index.md``, written from what the tests have shown.

``scripts/clients`` runs the tests, which add an :class:`FeatureResult` each to a file, and then this module.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import dropwhile, takewhile
from pathlib import Path

import msgspec

from tests.clients.client import FEATURES, OtherClient
from tests.clients.clients import CLIENTS, USE_CHAT

PAGE = Path(__file__).parents[2] / "docs" / "clients" / "index.md"
VARIABLE = "STREAMSERVER_CLIENT_OUTCOMES"
_COLUMNS = ("client", "package", "version", "protocol", *FEATURES)
HEADING = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}\n"


class FeatureResult(msgspec.Struct, frozen=True):
    """What one test showed of a version of a client, which goes by its name in the tests."""

    client: str
    version: str
    features: tuple[str, ...]
    passed: bool


def note(outcome: FeatureResult) -> None:
    """Add an outcome to the file that the environment names, if it names one."""
    if path := os.environ.get(VARIABLE):
        with Path(path).open("ab") as file:
            file.write(msgspec.json.encode(outcome) + b"\n")


def rows_of(outcomes: Iterable[FeatureResult]) -> list[str]:
    """Return a row for each version of each client that has shown all its features in tests that all passed."""
    shown: dict[tuple[str, str], set[str]] = defaultdict(set)
    failed: set[tuple[str, str]] = set()
    for outcome in outcomes:
        key = outcome.client, outcome.version
        shown[key].update(outcome.features)
        if not outcome.passed:
            failed.add(key)
    return [
        row(client, version)
        for client in (*CLIENTS, USE_CHAT)
        for (name, version), features in shown.items()
        if name == str(client) and (name, version) not in failed and features >= features_of(client)
    ]


def features_of(client: OtherClient) -> set[str]:
    return set(FEATURES) - client.lacks


def beginning(client: OtherClient, version: str) -> str:
    """Return what the row of a version of a client begins with."""
    return f"| [{client.name}]({client.page}) | `{client.package}` | {version} | {client.protocol} |"


def row(client: OtherClient, version: str) -> str:
    """Return the row of a version of a client that has all its features."""
    cells = " | ".join("–" if name in client.lacks else "yes" for name in FEATURES)
    return f"{beginning(client, version)} {cells} |"


def page_rows(text: str) -> list[str]:
    """Return the rows of the table in ``text``."""
    return list(takewhile(_is_row, text.partition(HEADING)[2].splitlines()))


def _is_row(line: str) -> bool:
    return line.startswith("|")


def with_rows(text: str, rows: Iterable[str]) -> str:
    """Return ``text`` with ``rows`` as its table."""
    before, heading, after = text.partition(HEADING)
    assert heading, f"{PAGE} has no table with the heading\n{HEADING}"
    lines = [*rows, *dropwhile(_is_row, after.splitlines())]
    return before + heading + "".join(f"{line}\n" for line in lines)


def main(path: str) -> None:
    """Write the table from the file of outcomes at ``path``."""
    outcomes = [msgspec.json.decode(line, type=FeatureResult) for line in Path(path).read_bytes().splitlines()]
    PAGE.write_text(with_rows(PAGE.read_text("utf-8"), rows_of(outcomes)), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
