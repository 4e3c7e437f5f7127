"""What the commands share."""

from __future__ import annotations

import os
import sys


class CommandError(Exception):
    """What was asked cannot be done; the message says what to do about it, in one line."""


def give_up_output() -> None:
    """Standard output cannot be written: nothing more of it is tried, at the exit neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
