"""The command line reads ``.env`` in the working directory; the library never does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import streamserver
from providers.registry import load_registry
from streamserver.cli import main
from streamserver.commands.env_file import read_env_file


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("A=b", "A", "b"),
        ("export A=b", "A", "b"),
        ("  A = b c  ", "A", "b c"),
        ("A=", "A", ""),
        ('A=""', "A", ""),
        ('A="b # c"', "A", "b # c"),
        ("A='b \"c\"'", "A", 'b "c"'),
        ("A=b # comment", "A", "b"),
        ("A=b#c", "A", "b#c"),
        ("A=sk-x=y:z", "A", "sk-x=y:z"),
        ("A=$HOME", "A", "$HOME"),
        ("A=b\r", "A", "b"),
        ("# A=b", "A", None),
    ],
)
def test_line_sets_a_variable(tmp_path: Path, line: str, name: str, value: str | None) -> None:
    path, environ = tmp_path / ".env", dict[str, str]()
    path.write_text(f"\ufeff\n{line}\nLAST=1\n", newline="")
    read_env_file(path, environ)
    assert environ == ({"LAST": "1"} if value is None else {name: value, "LAST": "1"})


def test_variable_that_is_set_keeps_its_value(tmp_path: Path) -> None:
    path, environ = tmp_path / ".env", {"A": ""}
    path.write_text("A=b\nA=c\nB=d\nB=e\n")
    read_env_file(path, environ)
    assert environ == {"A": "", "B": "d"}


@pytest.mark.parametrize(
    "text", ["sk-secret\n", "A='sk-secret\n", "1A=sk-secret\n", "A B=sk-secret\n", "A=x\0sk-secret"]
)
def test_wrong_line_is_refused_by_its_number_and_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text(f"# keys\n{text}")
    assert main(["check", "--provider", "echo"]) == 2
    assert capsys.readouterr().err == "streamserver: .env: line 2: expected NAME=value\n"


def test_command_line_reads_the_file_and_the_library_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("STREAMSERVER_LIMITS__MAX_TOKENS=7\n")
    assert streamserver.load(None, registry=load_registry([])).settings.limits.max_tokens != 7
    assert "STREAMSERVER_LIMITS__MAX_TOKENS" not in os.environ


def test_start_has_the_variables_of_the_file(tmp_path: Path) -> None:
    from tests.test_start import run

    (tmp_path / ".env").write_text("STREAMSERVER_LIMITS__MAX_TOKENS=7\n")
    assert "max_tokens = 7\n" in run("check", cwd=tmp_path).stdout
    found = run("check", cwd=tmp_path, environ={"STREAMSERVER_LIMITS__MAX_TOKENS": "8"}).stdout
    assert "max_tokens = 8\n" in found
