"""The command line."""

from __future__ import annotations

import argparse
import asyncio
import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import tomli_w
import uvloop
from aiohttp import web
from loguru import logger

from providers.clock import Clock
from providers.registry import Registry, load_registry
from providers.transport import AiohttpTransport
from providers.validation import Invalid
from streamserver import __version__
from streamserver.app import catalog_for, create_app, keys_for, policy_for
from streamserver.config import ConfigError, Loaded, Settings, load
from streamserver.config.load import without_secrets
from streamserver.http.core import CORE
from streamserver.http.keys import Keys, KeysError, new_key
from streamserver.load.plan import add_arguments as add_load_arguments
from streamserver.reload import Parts, Reloader
from streamserver.runner import listen, raise_descriptor_limit, serve
from streamserver.telemetry.logs import set_up_logs
from streamserver.telemetry.metrics import share_between_processes
from streamserver.workers import Workers

_EPILOG = """\
examples:
  streamserver --provider echo          try it without a key
  OPENAI_API_KEY=sk-… streamserver      OpenAI, the default
  streamserver --config prod.toml       another configuration
  streamserver check                    is the configuration right?
  streamserver providers --probe        does every provider answer?
  streamserver load --streams 2000      a load test, of the echo provider
"""


class _Exit(Exception):
    """A start that cannot be; the message says what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``; the exit status."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "load":
        from streamserver.load.command import load as run_load  # a client, and what it draws with

        return run_load(arguments)
    try:
        if arguments.command == "keys":
            return _new_key(arguments.name)
        registry = load_registry()
        load_again = partial(load, vars(arguments).get("config"), registry=registry, overrides=_overrides(arguments))
        loaded = load_again()
        if arguments.command == "check":
            return _check(loaded)
        if arguments.command == "providers":
            return _providers(loaded, registry, probe=arguments.probe)
        return _serve(loaded, registry, load_again)
    except (ConfigError, _Exit) as error:
        print(f"streamserver: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
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
        "--provider", metavar="NAME", default=argparse.SUPPRESS, help="who answers by default (provider.default)"
    )
    parser = argparse.ArgumentParser(
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
    providers = commands.add_parser(
        "providers", parents=[common], help="list the configured providers, and what each lacks"
    )
    providers.add_argument("--probe", action="store_true", help="send each a tiny request; costs a few tokens")
    keys = commands.add_parser("keys", help="make an API key").add_subparsers(metavar="command", required=True)
    new = keys.add_parser("new", help="print a new key, once, and the line for auth.keys_file")
    new.add_argument("name", metavar="NAME", help="whose key it is: what limits, logs and [auth.users.NAME] call it")
    add_load_arguments(
        commands.add_parser("load", help="run a load test against a server; exit status 1 if it broke a promise")
    )
    return parser


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    keys = {"host": "server.host", "port": "server.port", "provider": "provider.default"}
    given = vars(arguments)
    return {key: given[name] for name, key in keys.items() if name in given}


def _new_key(name: str) -> int:
    try:
        key, line = new_key(name)
    except KeysError as error:
        raise _Exit(f"keys new: {error}") from None
    print(f"# The key of {name}. It is shown this once, and stored nowhere:\n{key}")
    print(f"# For the file that auth.keys_file names:\n{line}")
    return 0


def _check(loaded: Loaded) -> int:
    keys = _keys(loaded.settings)
    print(f"# {loaded.source} is valid. In force, with the environment and the command line:\n")
    print(tomli_w.dumps(without_secrets(msgspec.to_builtins(loaded.settings))), end="")
    who = ", ".join(sorted(keys.names)) or "none; anyone who can connect may use the server"
    print(f"\n# API keys: {who}")
    return 0


def _providers(loaded: Loaded, registry: Registry, *, probe: bool) -> int:
    from streamserver.commands.providers import show_providers  # a table's library is no server's business

    try:
        return show_providers(loaded.settings, registry, probe=probe)
    except Invalid as error:
        raise _Exit(f"{loaded.source}: {error}") from None


def _serve(loaded: Loaded, registry: Registry, load_again: Callable[[], Loaded]) -> int:
    settings = loaded.settings
    keys = _keys(settings)
    _refuse_open_server(settings, keys)
    set_up_logs(settings.log)
    with TemporaryDirectory(prefix="streamserver-metrics-") as folder:
        if settings.server.workers > 1:
            share_between_processes(Path(folder))
        return _serve_with(loaded, registry, keys, load_again)


def _serve_with(loaded: Loaded, registry: Registry, keys: Keys, load_again: Callable[[], Loaded]) -> int:
    settings = loaded.settings
    try:
        app = create_app(settings, registry=registry)
    except Invalid as error:
        raise _Exit(f"{loaded.source}: {error}") from None
    with _listen(settings) as sock:
        return _serve_on(sock, app, loaded, registry, keys, load_again)


def _serve_on(
    sock: socket.socket,
    app: web.Application,
    loaded: Loaded,
    registry: Registry,
    keys: Keys,
    load_again: Callable[[], Loaded],
) -> int:
    settings = loaded.settings
    warnings = _warnings(settings, registry, keys)
    for name, why in registry.broken.items():
        logger.bind(event="plugin", plugin=name, error=why).warning("a plug-in cannot be loaded")

    def announce() -> None:
        _announce(app, sock, loaded, warnings)

    def work(app: web.Application, ready: Callable[[], None]) -> int:
        reloader = Reloader(
            app[CORE], loaded, load=load_again, build=lambda settings: _parts(settings, registry, app[CORE].clock)
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(app, sock, settings, announce=ready, beside=reloader.active()))
        return 0

    if settings.server.workers == 1:
        return work(app, announce)
    # Each worker makes its own application: no two of them may be the same node.
    workers = Workers(
        settings.server.workers,
        lambda ready: work(create_app(settings, registry=registry), ready),
        drain_seconds=settings.server.drain_seconds,
    )
    return workers.run(announce)


def _parts(settings: Settings, registry: Registry, clock: Clock) -> Parts:
    keys = keys_for(settings, os.environ)
    transport = AiohttpTransport()
    return Parts(catalog_for(settings, registry, transport, clock, os.environ), keys, policy_for(settings))


def _keys(settings: Settings) -> Keys:
    try:
        return keys_for(settings, os.environ)
    except KeysError as error:
        raise _Exit(str(error)) from None


def _refuse_open_server(settings: Settings, keys: Keys) -> None:
    """An open server beyond this machine spends its owner's money for anyone."""
    if keys or settings.auth.allow_anonymous or _is_loopback(settings.server.host):
        return
    raise _Exit(
        f"without API keys it listens on loopback only, and server.host is {settings.server.host}: "
        f"set {settings.auth.keys_env}=name:key, or auth.allow_anonymous = true if anyone may use it"
    )


def _warnings(settings: Settings, registry: Registry, keys: Keys) -> list[str]:
    """What may be meant, and is worth a line at the start."""
    warnings = [f"plug-in {name}: {error}" for name, error in registry.broken.items()]
    if too_few_files := raise_descriptor_limit(settings.limits.max_streams):
        warnings.append(too_few_files)
    if not keys:
        warnings.append(
            "there are no API keys: a proxy or a tunnel on this host makes the server public, and anyone spends "
            f"your money; set {settings.auth.keys_env}=name:key"
        )
    nobody = sorted(settings.auth.users.keys() - keys.names)
    return [*warnings, *(f"[auth.users.{name}] is in force for nobody: no key has that name" for name in nobody)]


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found)


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    try:
        return listen(host, port)
    except PermissionError:
        raise _Exit(f"port {port} needs privileges; choose one from 1024 with --port") from None
    except socket.gaierror:
        raise _Exit(f"there is no host {host!r} to listen on; see --host") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise _Exit(
                f"{host}:{port} is in use; choose another port with --port, or stop what listens there"
            ) from None
        raise _Exit(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _announce(app: Any, sock: socket.socket, loaded: Loaded, warnings: Sequence[str]) -> None:
    """Where it serves, who answers, and what to try."""
    host, port = sock.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    default = app[CORE].catalog.default
    lines = [
        f"streamserver {__version__} serves on {url}",
        f"  provider  {default.name} ({default.model})   config  {loaded.source}",
        f"  page      {url}/",
        f"  try       curl -N '{url}/api/chat/stream?prompt=hello'",
    ]
    if default.reason is not None:
        lines.append(f"  missing   {default.reason}: export it and start again, or try --provider echo")
    lines += [f"  warning   {warning}" for warning in warnings]
    print("\n".join(lines), flush=True)
