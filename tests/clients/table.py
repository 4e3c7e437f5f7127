"""The table of clients in ``docs/clients/index.md``, written by the tests that ran them.

Each module of tests names its clients in ``CLIENTS``. ``STREAMSERVER_WRITE_CLIENTS=1 pytest tests/clients`` writes a
row for each client of a module whose tests have all passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

PAGE = Path(__file__).parents[2] / "docs" / "clients" / "index.md"
VARIABLE = "STREAMSERVER_WRITE_CLIENTS"
_HEADING = "| client | version | protocol | tests |\n|---|---|---|---|\n"


class Client(msgspec.Struct, frozen=True):
    """A client that tests ran: its name and version, the protocol that it spoke, and the page about it."""

    name: str
    version: str
    protocol: str
    page: str

    def row(self, passed: int) -> str:
        return f"| [{self.name}]({self.page}) | {self.version} | {self.protocol} | {passed} |"


def version_of(package: str) -> str:
    """Return the version of a Python package, empty where it is missing: its tests are skipped then."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def rows_of(text: str) -> dict[str, str]:
    """Return the rows of the table in ``text``, by what is in their first cell and their third."""
    return {_key(line): line for line in text.partition(_HEADING)[2].splitlines() if line.startswith("|")}


def with_rows(text: str, passed: Mapping[Client, int]) -> str:
    """Return ``text`` with the rows of the clients in ``passed`` replaced, or added, in alphabetical order."""
    before, heading, after = text.partition(_HEADING)
    rows = rows_of(text) | {_key(row): row for row in (client.row(count) for client, count in passed.items())}
    rest = "\n".join(line for line in after.splitlines() if not line.startswith("|")).lstrip("\n")
    rest += "\n" if rest else ""
    return "".join([before, heading, *(f"{row}\n" for _, row in sorted(rows.items())), "\n" if rest else "", rest])


def _key(row: str) -> str:
    cells = row.split("|")
    return f"{cells[1].strip()} {cells[3].strip()}"
