"""The tour in CONTRIBUTING.md: what its table names is where it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
HEADING = "| to find where | look at |"


def rows_of_the_tour() -> list[tuple[str, list[str], list[str]]]:
    """Return what each row finds, the files that it names, and the functions."""
    table = TEXT.partition(HEADING)[2].partition("\n\n")[0].splitlines()[2:]
    cells = [re.findall(r"`([^`]+)`", row) for row in table]
    subjects = [row.split("|")[1].strip() for row in table]
    return [
        (subject, [name for name in names if "/" in name], [name for name in names if "/" not in name])
        for subject, names in zip(subjects, cells, strict=True)
    ]


@pytest.mark.parametrize(("subject", "files", "functions"), rows_of_the_tour())
def test_tour_names_files_that_define_its_functions(subject: str, files: list[str], functions: list[str]) -> None:
    assert files, subject
    source = "".join((ROOT / "streamserver" / file).read_text("utf-8") for file in files)
    assert [name for name in functions if not re.search(rf"def {name}\b", source)] == []


def test_tour_answers_the_questions_of_a_newcomer() -> None:
    assert len(rows_of_the_tour()) >= 7
