"""The command line."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from streamserver.arguments import build_parser
from streamserver.commands.base import give_up_output


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``. Return the exit status."""
    _have_standard_streams()
    command = None
    try:
        arguments = build_parser().parse_args(argv)
        command = arguments.command
        gc.disable()  # to collect garbage among modules is a tenth of a start; the server enables it when it serves
        from streamserver.commands.dispatch import dispatch

        status = dispatch(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC) or command in (None, "serve"):
            raise
        # A command that only prints: its pipe has no reader, or the disk is full.
        give_up_output()
        return 1
    finally:
        gc.enable()
    return status


def _have_standard_streams() -> None:
    """Open missing standard streams as /dev/null: their numbers must not become those of sockets."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 — for as long as the process runs
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
