"""The entry point of the container image: defaults that suit a container, then the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from providers.registry import load_registry
from streamserver.cli import main as run_command_line
from streamserver.commands.base import CommandError
from streamserver.commands.env_file import read_env_file
from streamserver.config import ConfigError, load
from streamserver.config.environment import CONFIG_VARIABLE
from streamserver.start import check_start, default_key_problem

HOST = "STREAMSERVER_SERVER__HOST"
PORT = "STREAMSERVER_SERVER__PORT"
DEFAULT_PROVIDER = "STREAMSERVER_PROVIDER__DEFAULT"
ALLOW_ANONYMOUS = "STREAMSERVER_AUTH__ALLOW_ANONYMOUS"
KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
"""The providers of the built-in configuration that need a key, in order of preference."""

NO_KEY = """\
No provider's key is set: the echo provider streams each prompt back. For real answers:
  docker run -e OPENAI_API_KEY=sk-... -p 8080:8080 IMAGE      (or ANTHROPIC_API_KEY)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` with a container's defaults. Return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        read_env_file(Path(".env"), os.environ)
        os.environ.update(defaults(os.environ))
        if serves(arguments):
            check_container(arguments, os.environ)
    except (CommandError, ConfigError) as error:
        print(f"streamserver: {error}", file=sys.stderr)
        return 2
    if serves(arguments) and os.environ.get(DEFAULT_PROVIDER) == "echo":
        print(NO_KEY, end="", flush=True)
    return run_command_line(arguments)


def defaults(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a container needs and ``environ`` does not set.

    The address and the port always come from here, since a container is reached from outside, at a port that its
    platform chooses. The provider and anonymous access do only where there is no configuration file.

    Raises :class:`~streamserver.config.ConfigError` if ``PORT`` is not a port.
    """
    suggested = {HOST: "0.0.0.0", PORT: _port(environ)}  # noqa: S104  # Docker publishes a port, or does not
    if not environ.get(CONFIG_VARIABLE) and not Path("config.toml").is_file():
        suggested |= {DEFAULT_PROVIDER: _provider(environ), ALLOW_ANONYMOUS: "true"}
    return {name: value for name, value in suggested.items() if not environ.get(name)}


def _port(environ: Mapping[str, str]) -> str:
    port = environ.get("PORT") or "8080"
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise ConfigError(f"PORT is {port!r}: expected the number of a port, from 1 to 65535")
    return port


def _provider(environ: Mapping[str, str]) -> str:
    return next((name for name, variable in KEY_VARIABLES.items() if environ.get(variable, "").strip()), "echo")


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the flags that decide about the configuration, and the rest of ``arguments``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--config", "--host", "--port", "--provider"):
        parser.add_argument(flag)
    return parser.parse_known_args(list(arguments))


def serves(arguments: Sequence[str]) -> bool:
    """Return whether ``arguments`` start the server, and do not ask for another command, help or the version."""
    _, rest = parse(arguments)
    return not rest or (rest[0] == "serve" and not {"-h", "--help"} & set(rest))


def check_container(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Refuse a start that would fail, before anything is printed, or whose default provider lacks its key.

    On a terminal the server starts without the key and says so; in a container, that line would scroll by unread while
    every request fails. Raises :class:`~streamserver.config.ConfigError`.
    """
    given, _ = parse(arguments)
    registry = load_registry()
    flags = {"provider.default": given.provider, "server.host": given.host}
    overrides = {key: value for key, value in flags.items() if value}
    loaded = load(given.config, registry=registry, environ=environ, overrides=overrides)
    if problem := default_key_problem(loaded.settings, registry, environ):
        raise ConfigError(problem)
    check_start(loaded, host=loaded.settings.server.host)


if __name__ == "__main__":
    sys.exit(main())
