"""The completion scripts, each read by its shell."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import shtab

from streamserver.arguments import SHELLS
from streamserver.cli import main
from streamserver.commands.base import FILES

BASH = """
source "$1"
COMP_LINE=$2 COMP_WORDS=($2 "$3") COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_shtab_streamserver
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """source "$argv[1]"; complete -C "$argv[2] $argv[3]" """
ZSH = """
fpath=("${1:h}" $fpath)
autoload -Uz compinit && compinit -u -D
print -- "${_comps[streamserver]}"
zsh -n "$1"
"""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Path]:
    def write(shell: str) -> Path:
        assert main(["completion", shell]) == 0
        path = tmp_path / "_streamserver"  # the name by which zsh finds it
        path.write_text(capsys.readouterr().out)
        return path

    return write


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    ("line", "word", "expected"),
    [
        ("streamserver", "che", ["check"]),
        ("streamserver load", "--str", ["--streams"]),
        ("streamserver keys", "n", ["new"]),
        ("streamserver completion", "z", ["zsh"]),
        ("streamserver load --api", "mess", ["messages"]),
        ("streamserver check --config", "my", ["my.toml"]),
    ],
)
def test_shell_completes_commands_flags_choices_and_files(
    script: Callable[[str], Path],
    find_program: Callable[[str], str],
    tmp_path: Path,
    shell: str,
    line: str,
    word: str,
    expected: list[str],
) -> None:
    program, path = find_program(shell), script(shell)
    (tmp_path / "my.toml").touch()
    text = {"bash": (BASH, "-"), "fish": (FISH,)}[shell]
    lines = run(program, "-c", *text, str(path), line, word, folder=tmp_path).splitlines()
    assert [candidate.partition("\t")[0] for candidate in lines] == expected  # fish adds a description


def test_zsh_takes_the_script_for_the_completion_of_the_program(
    script: Callable[[str], Path], find_program: Callable[[str], str], tmp_path: Path
) -> None:
    out = run(find_program("zsh"), "-f", "-c", ZSH, "-", str(script("zsh")), folder=tmp_path)
    assert out == "_streamserver\n"


def test_files_are_completed_as_shtab_completes_them() -> None:
    assert shtab.FILE == FILES


@pytest.mark.parametrize("shell", SHELLS)
def test_script_names_every_command(script: Callable[[str], Path], shell: str) -> None:
    text = script(shell).read_text()
    for name in ("serve", "check", "schema", "providers", "keys", "load", "completion", "--resume-rate"):
        assert name.removeprefix("--") in text
