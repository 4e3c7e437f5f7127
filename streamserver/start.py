"""What has to be right for a server to start, however it is started."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping

from providers.registry import Registry
from providers.validation import Invalid
from streamserver.app import keys_for, store_for
from streamserver.config import ConfigError, Loaded, Settings
from streamserver.http.keys import Keys, KeysError


def check_start(loaded: Loaded, *, host: str | None, environ: Mapping[str, str] = os.environ) -> Keys:
    """The API keys of a server that may start and listen on ``host``; None: nobody can tell where it will.

    Raises :class:`~streamserver.config.ConfigError` for one that may not, with one line that says what to do.
    """
    try:
        store_for(loaded.settings)
        keys = keys_for(loaded.settings, environ)
    except Invalid as error:
        raise ConfigError(loaded.blame(error)) from None
    except KeysError as error:
        raise ConfigError(str(error)) from None
    _refuse_open_server(loaded.settings, keys, host)
    return keys


def warnings_of(settings: Settings, registry: Registry, keys: Keys) -> list[str]:
    """What may be meant, and is worth a line."""
    warnings = [f"plug-in {name}: {error}" for name, error in registry.broken.items()]
    if not keys:
        warnings.append(
            "there are no API keys: a proxy or a tunnel on this host makes the server public, and anyone spends "
            f"your money; set {settings.auth.keys_env}=name:key"
        )
    nobody = sorted(settings.auth.users.keys() - keys.names)
    return [*warnings, *(f"[auth.users.{name}] is in force for nobody: no key has that name" for name in nobody)]


def _refuse_open_server(settings: Settings, keys: Keys, host: str | None) -> None:
    """An open server beyond this machine spends its owner's money for anyone."""
    if keys or settings.auth.allow_anonymous or (host is not None and _is_loopback(host)):
        return
    where = "nobody can tell here where gunicorn listens" if host is None else f"server.host is {host}"
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
