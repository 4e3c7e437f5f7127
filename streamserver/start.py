"""The checks that every start makes: by the command line, and by gunicorn."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping

from providers.registry import Registry
from providers.routes import check_environment
from providers.tables import api_key_of, not_ready, read_options
from providers.validation import Invalid
from streamserver.app import keys_for, store_for
from streamserver.config import ConfigError, Loaded, Settings
from streamserver.http.keys import Keys, KeysError
from streamserver.listening import check_socket_path


def check_start(loaded: Loaded, *, host: str | None) -> Keys:
    """Return the API keys of a server that may start and listen on ``host``; None if the address is not known here.

    Raises :class:`~streamserver.config.ConfigError`, with one line that says what to do, for a server that may not.
    """
    try:
        check_environment(os.environ)
    except Invalid as error:
        raise ConfigError(f"environment: {error}") from None
    try:
        store_for(loaded.settings)  # for its errors alone: it does not connect
        keys = keys_for(loaded.settings, os.environ)
    except Invalid as error:
        raise ConfigError(loaded.describe_origin(error)) from None
    except KeysError as error:
        raise ConfigError(str(error)) from None
    if host is not None and loaded.settings.server.unix_socket:
        _check_socket_path(loaded)  # only this machine can connect, as on loopback
    else:
        _refuse_open_server(loaded.settings, keys, host)
    return keys


def default_key_problem(settings: Settings, registry: Registry, environ: Mapping[str, str]) -> str | None:
    """Return why every request to the default provider will fail for want of a key, if nothing stands in for it."""
    name = settings.provider.default
    key = api_key_of(read_options(name, settings.providers[name], registry), environ)
    if key.is_set or settings.provider.fallback:
        return None
    return f"{key.problem}: the default provider, {name}, needs it"


def warnings_of(loaded: Loaded, registry: Registry, keys: Keys) -> list[str]:
    """Return what does not stop the start and may still be a mistake, one line each."""
    settings = loaded.settings
    warnings = [*loaded.warnings, *(f"plug-in {name}: {error}" for name, error in registry.broken.items())]
    if not keys:
        warnings.append(
            "there are no API keys: a proxy or a tunnel on this host makes the server public, and anyone spends "
            f"your money; set {settings.auth.keys_env}=name:key"
        )
    for name, problem in not_ready(settings.providers, registry, os.environ):
        warnings.append(f"[providers.{name}] is not ready: {problem}")
    without_key = sorted(settings.auth.users.keys() - keys.names)
    return [*warnings, *(f"[auth.users.{name}] has no effect: no key has that name" for name in without_key)]


def _check_socket_path(loaded: Loaded) -> None:
    path = loaded.settings.server.unix_socket
    if wrong := check_socket_path(path):
        raise ConfigError(loaded.describe_origin(Invalid("server.unix_socket", wrong, path)))


def _refuse_open_server(settings: Settings, keys: Keys, host: str | None) -> None:
    """Refuse to serve other machines without API keys: any stranger could spend the owner's money."""
    if keys or settings.auth.allow_anonymous or (host is not None and _is_loopback(host)):
        return
    where = "the address that gunicorn listens on is not known here" if host is None else f"server.host is {host}"
    raise ConfigError(
        f"without API keys it listens on loopback only, and {where}: "
        f"set {settings.auth.keys_env}=name:key, or auth.allow_anonymous = true if anyone may use it"
    )


def _is_loopback(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True  # not a host at all, as listening on it will say
    return all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found)
