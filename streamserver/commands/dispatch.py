"""The commands, and what they need: imported only when one is run, for it takes most of a start."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from providers.registry import Registry, load_registry
from providers.validation import Invalid
from streamserver.commands.base import CommandError
from streamserver.commands.env_file import read_env_file
from streamserver.config import ConfigError, Loaded, load


def dispatch(arguments: argparse.Namespace) -> int:
    """Run the command that ``arguments`` name. Return the exit status, 2 for one that cannot be run."""
    if arguments.command == "load":
        gc.enable()  # the server does so itself, and the other commands end at once
    try:
        read_env_file(Path(".env"), os.environ)
        return _run(arguments)
    except (ConfigError, CommandError) as error:
        print(f"streamserver: {error}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "load":
            from streamserver.loadtest.command import run_load_test

            return run_load_test(arguments)
        case "keys":
            from streamserver.commands.keys import print_new_key

            return print_new_key(arguments.name)
        case "schema":
            from streamserver.commands.schema import print_schema

            return print_schema(load_registry())
        case "completion":
            from streamserver.commands.completion import print_completion

            return print_completion(arguments.shell)
        case command:
            return _run_configured(command, arguments)


def _run_configured(command: str, arguments: argparse.Namespace) -> int:
    registry = load_registry()
    load_from = partial(load, registry=registry, overrides=_overrides(arguments))
    loaded = load_from(vars(arguments).get("config"))
    match command:
        case "check":
            from streamserver.commands.check import print_configuration

            return print_configuration(loaded, registry)
        case "providers":
            return _providers(loaded, registry, probe=arguments.probe)
        case _:
            from streamserver.commands.serve import run_server

            # The file that was found is read again: where it is gone, that is an error and not the defaults.
            return run_server(loaded, registry, lambda: load_from(loaded.path))


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    keys = {"host": "server.host", "port": "server.port", "provider": "provider.default"}
    given = vars(arguments)
    return {key: given[name] for name, key in keys.items() if name in given}


def _providers(loaded: Loaded, registry: Registry, *, probe: bool) -> int:
    from streamserver.commands.providers import show_providers

    try:
        return show_providers(loaded.settings, registry, probe=probe)
    except Invalid as error:
        raise CommandError(loaded.describe_origin(error)) from None
