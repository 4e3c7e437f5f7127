"""Find, read and check a configuration."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from providers.jsontext import abbreviated, printable
from providers.registry import Registry, load_registry
from providers.tables import read_options
from providers.validation import Invalid, convert
from streamserver.assets import default_config
from streamserver.config.environment import CONFIG_VARIABLE, apply_environment, misnamed, parse_toml, set_key
from streamserver.config.secrets import without_secret
from streamserver.config.settings import Settings


class ConfigError(ValueError):
    """A configuration that cannot be used. The message is one line: the source, the key, and what is allowed."""


class Loaded(msgspec.Struct, frozen=True):
    """A checked configuration and its source: the path of a file, or "built-in defaults".

    ``origins`` maps each key that was overridden to the variable, or to "command line".
    """

    settings: Settings
    source: str
    origins: Mapping[str, str]
    path: str | None = None
    """The file that was read; None for the defaults."""
    warnings: tuple[str, ...] = ()
    """Environment variables that look like settings, one line each."""

    def describe_origin(self, error: Invalid) -> str:
        """Return one line that names the source of the value and what is wrong with it, without a secret."""
        return _describe(error, self.source, self.origins)


def load(
    path: str | None,
    *,
    registry: Registry,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Load the configuration at ``path``, else at ``STREAMSERVER_CONFIG``, else ``./config.toml``, else the defaults.

    The environment overrides it, and ``overrides`` (dotted key → value, from the command line) override both.
    Raises :class:`ConfigError`.
    """
    found, table = _read(path, environ)
    source = found or "built-in defaults"
    origins: dict[str, str] = {}
    try:
        apply_environment(table, environ, origins)
        for key, value in (overrides or {}).items():
            set_key(table, key.split("."), value)
            origins[key] = "command line"
        settings = _checked(table, registry)
    except Invalid as error:
        raise ConfigError(_describe(error, source, origins)) from None
    return Loaded(settings, source, origins, found, tuple(misnamed(environ, _variables(settings))))


def settings(tables: Mapping[str, Any], *, registry: Registry | None = None) -> Settings:
    """Return the settings of a ``config.toml`` with these ``tables``, for :func:`streamserver.create_app`.

    A key that is left out has its default. No file and no environment is read; ``create_app`` reads keys from the
    environment. A ``registry`` that ``create_app`` gets must be given here as well.

    Raises :class:`ConfigError`, with one line that names the key, the value and what is allowed.
    """
    try:
        return _checked(dict(tables), registry or load_registry())
    except Invalid as error:
        raise ConfigError(f"settings: {without_secret(error)}") from None


def _variables(settings: Settings) -> frozenset[str]:
    """Return the variables without a double underscore that the server reads."""
    keys = (table.get("api_key_env") for table in settings.providers.values())
    return frozenset({CONFIG_VARIABLE, settings.auth.keys_env, *(key for key in keys if isinstance(key, str))})


def _checked(tables: dict[str, Any], registry: Registry) -> Settings:
    converted = convert(tables, Settings)
    _check(converted, registry)
    return converted


def _read(path: str | None, environ: Mapping[str, str]) -> tuple[str | None, dict[str, Any]]:
    chosen = path or environ.get(CONFIG_VARIABLE)
    if not chosen and Path("config.toml").is_file():
        chosen = "config.toml"
    if not chosen:
        return None, tomllib.loads(default_config())
    name = abbreviated(chosen)
    try:
        return chosen, parse_toml(Path(chosen).read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{name}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: is not text in UTF-8") from None
    except ValueError as error:
        raise ConfigError(printable(f"{name}: is not TOML: {error}")) from None


def _describe(error: Invalid, source: str, origins: Mapping[str, str]) -> str:
    return f"{_origin(error.key, origins) or source}: {without_secret(error)}"


def _origin(key: str, origins: Mapping[str, str]) -> str | None:
    """Return the variable or command line that set ``key``, its table, its list or a part of it; None for the file."""
    around = [set_ for set_ in origins if key == set_ or key.startswith((f"{set_}.", f"{set_}["))]
    inside = [set_ for set_ in origins if set_.startswith(f"{key}.")]
    found = max(around, key=len, default=None) or next(iter(inside), None)
    return None if found is None else origins[found]


def _check(settings: Settings, registry: Registry) -> None:
    """Check what concerns several keys. Raises :class:`~providers.validation.Invalid`."""
    for name, table in settings.providers.items():
        read_options(name, table, registry)
    _check_provider_names(settings)
    for proxy in settings.server.trusted_proxies:
        _check_network("server.trusted_proxies", proxy)
    resume = settings.resume
    if resume.grace_seconds > resume.max_grace_seconds:
        raise Invalid(
            "resume.grace_seconds",
            f"expected at most resume.max_grace_seconds ({resume.max_grace_seconds:g})",
            resume.grace_seconds,
        )
    if settings.server.workers > 1 and resume.store == "memory":
        raise Invalid(
            "server.workers",
            'more than one needs a shared store: set resume.store = "redis://…"',
            settings.server.workers,
        )


def _check_provider_names(settings: Settings) -> None:
    """Check that each provider that is named elsewhere has its table."""
    named = {"provider.default": (settings.provider.default,), "provider.fallback": settings.provider.fallback}
    named |= {f"auth.users.{name}.providers": user.providers for name, user in settings.auth.users.items()}
    for key, names in named.items():
        for name in names:
            if name not in settings.providers:
                raise Invalid(key, f"expected one of {', '.join(settings.providers)}", name)


def _check_network(key: str, text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Invalid(key, 'expected addresses or networks, like "10.0.0.1" or "10.0.0.0/8"', text) from None
