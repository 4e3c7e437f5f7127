"""The command line."""

from __future__ import annotations

import argparse
import errno
import gc
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from streamserver import __version__
from streamserver.commands.base import give_up_output
from streamserver.loadtest.plan import add_arguments as add_load_arguments

_EPILOG = """\
examples:
  streamserver --provider echo          try it without a key
  OPENAI_API_KEY=sk-… streamserver      OpenAI, the default
  streamserver --config prod.toml       another configuration
  streamserver check                    is the configuration right?
  streamserver schema > schema.json     complete config.toml in an editor
  streamserver providers --probe        does every provider answer?
  streamserver load --streams 2000      a load test, of the echo provider

environment:
  STREAMSERVER_CONFIG            the configuration, if --config does not name it
  STREAMSERVER_<SECTION>__<KEY>  overrides a key: STREAMSERVER_LIMITS__MAX_TOKENS=500
  STREAMSERVER_KEYS              API keys of clients: name:key,name:key
  OPENAI_API_KEY, …              keys of providers: api_key_env names the variable
  NO_COLOR                       tables without colours

files:
  ./config.toml                  the configuration, if nothing else names one
  ./.env                         more variables, as NAME=value; those that are set win

signals:
  SIGTERM                        finish running streams for server.drain_seconds, then end
  SIGINT, or a second SIGTERM    the same within 2 seconds
  SIGHUP                         read the configuration again

exit status:
  0  ended as asked
  1  a provider did not answer, a promise was broken, or output could not be written
  2  a wrong command line, configuration or environment: one line says what

documentation: docs/settings.md and its neighbours in the repository
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``. Return the exit status."""
    _have_standard_streams()
    command = None
    try:
        arguments = _parser().parse_args(argv)
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


class _Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        shown = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in message)
        self.exit(2, f"{self.prog}: {shown}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="the configuration; default: $STREAMSERVER_CONFIG, else ./config.toml, else built-in defaults",
    )
    common.add_argument("--host", default=argparse.SUPPRESS, help="the address to listen on (server.host)")
    common.add_argument(
        "--port", type=int, default=argparse.SUPPRESS, help="the port to listen on; 0: any free one (server.port)"
    )
    common.add_argument(
        "--provider",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="the provider of requests that name none (provider.default)",
    )
    parser = _Parser(
        prog="streamserver",
        description="Streams tokens from language models to browsers and API clients, as they are generated.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"streamserver {__version__}")
    parser.set_defaults(command="serve")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    commands.add_parser("serve", parents=[common], help="run the server (the default)")
    commands.add_parser(
        "check", parents=[common], help="validate the configuration, and print what is in force, without secrets"
    )
    commands.add_parser("schema", help="print a JSON schema of the configuration, for editors")
    providers = commands.add_parser(
        "providers", parents=[common], help="list the configured providers, and what each lacks"
    )
    providers.add_argument("--probe", action="store_true", help="send each a tiny request; costs a few tokens")
    keys = commands.add_parser("keys", help="make an API key").add_subparsers(metavar="command", required=True)
    new = keys.add_parser("new", help="print a new key, once, and the line for auth.keys_file")
    new.add_argument("name", metavar="NAME", help="the name of the key in limits, logs and [auth.users.NAME]")
    add_load_arguments(
        commands.add_parser("load", help="run a load test against a server; exit status 1 if it broke a promise")
    )
    return parser
