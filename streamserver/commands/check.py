"""``streamserver check``: print the configuration in force, without secrets."""

from __future__ import annotations

import os

import msgspec
import tomli_w

from providers.registry import Registry
from streamserver.config import Loaded
from streamserver.config.secrets import without_secrets
from streamserver.start import check_start, default_key_problem, warnings_of


def print_configuration(loaded: Loaded, registry: Registry) -> int:
    """Print the configuration, which was checked when it was loaded, as TOML. Return the exit status.

    Raises :class:`~streamserver.config.ConfigError` where a start would be refused for it.
    """
    keys = check_start(loaded, host=loaded.settings.server.host)
    print(f"# Valid: {loaded.source}. In force, with the environment and the command line:\n")
    print(tomli_w.dumps(without_secrets(msgspec.to_builtins(loaded.settings))), end="")
    names = ", ".join(sorted(keys.names)) or "none; every client that can connect may use the server"
    print(f"\n# API keys: {names}")
    problem = default_key_problem(loaded.settings, registry, os.environ)
    for warning in [*([problem] if problem else []), *warnings_of(loaded, registry, keys)]:
        print(f"# warning: {warning}")
    return 0
