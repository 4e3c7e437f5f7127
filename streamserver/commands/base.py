"""An error and a helper that several commands use."""

from __future__ import annotations

import os
import sys


class CommandError(Exception):
    """A command that cannot be run. The message says in one line what to do about it."""


def give_up_output() -> None:
    """Send the rest of standard output to /dev/null, so that the exit does not try to write it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
