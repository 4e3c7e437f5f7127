"""The parser of the command line."""

from __future__ import annotations

import argparse
import difflib
import itertools
import re
import sys
from functools import partial
from typing import Any, NoReturn

from streamserver import __version__
from streamserver.commands import help as texts
from streamserver.commands.base import complete_files
from streamserver.loadtest.plan import add_arguments as add_load_arguments

_AS_COMMAND = re.compile("argument command: invalid choice: '(.*?)'")
SHELLS = ("bash", "zsh", "fish")


class _Parser(argparse.ArgumentParser):
    """A parser that takes whole flags alone, and says in one line what is wrong with the arguments."""

    def __init__(self, **options: Any) -> None:
        self.flags: list[str] = [flag for parent in options.get("parents", ()) for flag in parent.flags]
        super().__init__(allow_abbrev=False, **options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        self.flags += (name for name in names if name.startswith("-"))
        return super().add_argument(*names, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(self._given, namespace)

    def error(self, message: str) -> NoReturn:
        if (taken := _AS_COMMAND.match(message)) and (flag := self._unknown_flag_before(taken[1])) is not None:
            near = difflib.get_close_matches(flag, self.flags, n=1)
            message = f"there is no flag {flag}" + (f"; did you mean {near[0]}?" if near else "")
        shown = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in message)
        self.exit(2, f"{self.prog}: {shown}; see {self.prog} --help\n")

    def _unknown_flag_before(self, word: str) -> str | None:
        """Return the first unknown flag before ``word``, which may be its value and was taken for a command."""
        before = itertools.takewhile(lambda given: given != word, self._given)
        flags = (given.partition("=")[0] for given in before if given.startswith("-"))
        return next((flag for flag in flags if flag not in self.flags), None)


def build_parser(*, brief: bool = False) -> argparse.ArgumentParser:
    """Return the parser of ``streamserver``. Without a command, ``command`` is ``serve``.

    ``brief`` describes each command in one line, as shells show it beside a completion.
    """
    common = _common()
    parser = _Parser(
        prog="streamserver",
        description="Streams tokens from language models to browsers and API clients, as they are generated.",
        epilog=texts.PROGRAM,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    parser.add_argument(
        "--version", action="version", version=f"streamserver {__version__}", help="print the version and exit"
    )
    parser.set_defaults(command="serve")
    add = partial(_add, brief=brief)
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    add(commands, "serve", texts.SERVE, parents=[common])
    add(commands, "check", texts.CHECK, parents=[common])
    add(commands, "schema", texts.SCHEMA)
    providers = add(commands, "providers", texts.PROVIDERS, parents=[common])
    providers.add_argument("--probe", action="store_true", help="send each a tiny request; costs a few tokens")
    keys = add(commands, "keys", texts.KEYS).add_subparsers(metavar="command", title="commands", required=True)
    new = add(keys, "new", texts.KEYS_NEW)
    new.add_argument("name", metavar="NAME", help="the name of the key in limits, logs and [auth.users.NAME]")
    add_load_arguments(add(commands, "load", texts.LOAD))
    completion = add(commands, "completion", texts.COMPLETION)
    completion.add_argument("shell", choices=SHELLS, help="the shell that reads the script")
    return parser


def _common() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    config = common.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="the configuration; default: $STREAMSERVER_CONFIG, else ./config.toml, else built-in defaults",
    )
    complete_files(config)
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
    return common


def _add(commands: Any, name: str, text: texts.CommandHelp, *, brief: bool, **options: Any) -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text.summary,
        description=text.summary if brief else text.description,
        epilog=text.epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )
    return added
