"""An error and a helper that several commands use."""

from __future__ import annotations

import argparse
import os
import sys


class CommandError(Exception):
    """A command that cannot be run. The message says in one line what to do about it."""


def give_up_output() -> None:
    """Send the rest of standard output to /dev/null, so that the exit does not try to write it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


FILES = {
    "bash": "_shtab_compgen_files",
    "zsh": "_files",
    "tcsh": "f",
    "fish": "(__fish_complete_path (commandline -ct))",
    "powershell": "_shtab_powershell_compgen_files",
}
"""What ``shtab.FILE`` is: it is not imported for each start."""


def complete_files(action: argparse.Action) -> None:
    """Have shells complete the argument of ``action`` as a path."""
    action.complete = FILES  # type: ignore[attr-defined]  # the attribute that shtab reads
