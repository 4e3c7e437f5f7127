"""``streamserver completion``: the completion script of a shell."""

from __future__ import annotations

import shtab

from streamserver.arguments import build_parser


def print_completion(shell: str) -> int:
    """Print the script that completes commands, flags and files in ``shell``. Return the exit status."""
    print(shtab.complete(build_parser(brief=True), shell))
    return 0
