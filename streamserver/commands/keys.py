"""``streamserver keys``: make API keys."""

from __future__ import annotations

from streamserver.commands.base import CommandError
from streamserver.http.keys import KeysError, new_key


def print_new_key(name: str) -> int:
    """Print a key for ``name`` and the line for a key file. Return the exit status."""
    try:
        key, line = new_key(name)
    except KeysError as error:
        raise CommandError(f"keys new: {error}") from None
    print(f"# The key of {name}. It is shown this once, and stored nowhere:\n{key}")
    print(f"# For the file that auth.keys_file names:\n{line}")
    return 0
