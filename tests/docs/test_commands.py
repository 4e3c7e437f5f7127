"""``docs/commands.md`` is the help of the program."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamserver.arguments import build_parser
from tests.docs.commands import _parsers, with_commands

PAGE = Path(__file__).parents[2] / "docs/commands.md"


def test_page_has_the_help_of_every_command() -> None:
    page = PAGE.read_text("utf-8")
    assert with_commands(page) == page, "run python -m tests.docs.commands docs/commands.md"


def examples() -> Iterator[str]:
    for parser in _parsers(build_parser()):
        for line in (parser.epilog or "").splitlines():
            if found := re.search(r"^ +.*?\bstreamserver((?: [^A-Z\s>(][^\s>]*)*)(?: {2}|$| >)", line):
                yield found[1].strip()


def test_examples_of_commands_are_found() -> None:
    assert len(list(examples())) > 15


@pytest.mark.parametrize("arguments", list(examples()))
def test_examples_of_the_help_are_accepted(arguments: str) -> None:
    parsed = build_parser().parse_args(arguments.split())
    assert isinstance(parsed, argparse.Namespace)


@pytest.mark.parametrize("parser", list(_parsers(build_parser())), ids=lambda parser: parser.prog)
def test_help_explains_every_argument_and_fits_a_terminal(parser: argparse.ArgumentParser) -> None:
    assert parser.description
    assert [action.dest for action in parser._actions if not action.help and action.metavar != "command"] == []
    assert [line for line in f"{parser.description}\n{parser.epilog}".splitlines() if len(line) > 100] == []
