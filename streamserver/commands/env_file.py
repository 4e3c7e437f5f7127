"""The file ``.env`` in the working directory, for the command line only."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from pathlib import Path

from streamserver.commands.base import CommandError

_ASSIGNMENT = re.compile(
    r"""(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*
    (?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^"'\s#].*?)?)(?:\s+\#.*)?""",
    re.VERBOSE,
)


def read_env_file(path: Path, environ: MutableMapping[str, str]) -> None:
    """Add the variables in ``path`` to ``environ``; a variable that is set keeps its value.

    Each line is ``NAME=value``, with an optional ``export`` before it and quotes around the value; nothing is expanded.
    A file that is missing is no error. Raises :class:`~streamserver.commands.base.CommandError`, without the line,
    which may hold a key.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path}: is not text in UTF-8") from None
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None or "\0" in line:
            raise CommandError(f"{path}: line {number}: expected NAME=value")
        environ.setdefault(match["name"], match["double"] or match["single"] or match["plain"] or "")
