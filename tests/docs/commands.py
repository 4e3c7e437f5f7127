"""The tables of ``docs/commands.md``. ``python -m tests.docs.commands docs/commands.md`` writes them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from streamserver.arguments import build_parser

BEGIN = "<!-- commands -->\n"


def with_commands(page: str) -> str:
    """Return ``page`` with everything after the mark made anew."""
    return page.partition(BEGIN)[0] + BEGIN + "\n" + "\n".join(_section(parser) for parser in _parsers(build_parser()))


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _parsers(inner)


def _section(parser: argparse.ArgumentParser) -> str:
    lines = [f"## {parser.prog}", "", parser.description or "", ""]
    rows = [_row(action) for action in parser._actions if action.help and action.help != argparse.SUPPRESS]
    rows = [row for row in rows if "`--help`" not in row]
    if rows:
        lines += ["| argument | meaning |", "|---|---|", *rows, ""]
    if parser.epilog:
        lines += ["```text", parser.epilog.rstrip(), "```", ""]
    return "\n".join(lines)


def _row(action: argparse.Action) -> str:
    value = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    if action.choices is not None:
        value = " or ".join(action.choices)
    names = [name for name in action.option_strings if name.startswith("--")]
    shown = [f"`{name}`" for name in names] if action.nargs == 0 else [f"`{name} {value}`" for name in names]
    return f"| {', '.join(shown or [f'`{value}`'])} | {action.help} |"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_commands(path.read_text("utf-8")), "utf-8")
