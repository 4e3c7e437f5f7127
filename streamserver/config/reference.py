"""The tables of ``docs/settings.md``. ``python -m streamserver.config.reference docs/settings.md`` writes them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import tomli_w
from msgspec import Struct

from streamserver.config.table import Setting, rows, tables

_BLOCK = re.compile(r"(<!-- settings: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """Return ``page`` with each block between ``<!-- settings: SECTION -->`` and ``<!-- end -->`` made anew."""
    made = {section: _table(section, kind) for section, kind in tables()}
    return _BLOCK.sub(lambda block: f"{block[1]}{made[block[2]]}{block[3]}", page)


def _table(section: str, kind: type[Struct]) -> str:
    lines = ["| setting | default | allowed | meaning | a change applies |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *map(_line, rows(section, kind))]) + "\n"


def _line(row: Setting) -> str:
    default = "" if row.default is None else f"`{_toml(row.default)}`"
    cells = (f"`{row.path}`", default, row.allowed, row.about.meaning, row.about.applies)
    return f"| {' | '.join(cells)} |"


def _toml(value: object) -> str:
    text = tomli_w.dumps({"value": list(value) if isinstance(value, tuple) else value})
    return text.partition(" = ")[2].strip() or "{}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text("utf-8")), "utf-8")
