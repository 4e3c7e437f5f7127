"""``streamserver check``: what is in force, without secrets."""

from __future__ import annotations

import msgspec
import tomli_w

from streamserver.commands.base import keys_of
from streamserver.config import Loaded
from streamserver.config.load import without_secrets


def check(loaded: Loaded) -> int:
    """Print the configuration, which has been checked as it was loaded, as TOML; the exit status."""
    keys = keys_of(loaded.settings)
    print(f"# {loaded.source} is valid. In force, with the environment and the command line:\n")
    print(tomli_w.dumps(without_secrets(msgspec.to_builtins(loaded.settings))), end="")
    who = ", ".join(sorted(keys.names)) or "none; anyone who can connect may use the server"
    print(f"\n# API keys: {who}")
    return 0
