"""Finding, reading and checking a configuration."""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from providers.catalog import read_options
from providers.registry import Registry, load_registry
from providers.validation import Invalid, convert
from streamserver.assets import default_config
from streamserver.config.settings import Settings

PREFIX = "STREAMSERVER_"
CONFIG_VARIABLE = "STREAMSERVER_CONFIG"

_PASSWORD = re.compile(r"(?<=:)[^/@:\s][^/@\s]*(?=@)")
"""What stands before the ``@`` of an address, after the user's name."""
_SECRET_WORDS = ("secret", "password", "passwd", "credential", "authorization")


class ConfigError(ValueError):
    """A configuration that cannot be used. The message is one line: where, which key, what is allowed."""


class Loaded(msgspec.Struct, frozen=True):
    """A checked configuration, and where it came from (for people: a path, or "built-in defaults").

    ``origins`` are the keys that something else set, and what: a variable, or the command line."""

    settings: Settings
    source: str
    origins: Mapping[str, str]
    path: str | None = None
    """The file that was read, None for the defaults."""

    def blame(self, error: Invalid) -> str:
        """What is wrong, in one line that names who set it, and quotes no secret."""
        return _blamed(error, self.source, self.origins)


def load(
    path: str | None,
    *,
    registry: Registry,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read the configuration at ``path``, else where ``STREAMSERVER_CONFIG`` says, else ``./config.toml``,
    else the defaults; then the environment; then ``overrides`` (dotted key → value, from the command line).

    Raises :class:`ConfigError`.
    """
    found, table = _read(path, environ)
    source = found or "built-in defaults"
    origins: dict[str, str] = {}
    try:
        _apply_environment(table, environ, origins)
        for key, value in (overrides or {}).items():
            _set(table, key.split("."), value)
            origins[key] = "command line"
        return Loaded(_checked(table, registry), source, origins, found)
    except Invalid as error:
        raise ConfigError(_blamed(error, source, origins)) from None


def settings(tables: Mapping[str, Any], *, registry: Registry | None = None) -> Settings:
    """The settings that a ``config.toml`` with these ``tables`` would be, for :func:`streamserver.create_app`.

    What is not said is the default. No file and no environment is looked at; keys are read from the environment by
    ``create_app``. A ``registry`` that ``create_app`` gets is to be given here as well.

    Raises :class:`ConfigError`, whose one line names key, value and what is allowed.
    """
    try:
        return _checked(dict(tables), registry or load_registry())
    except Invalid as error:
        raise ConfigError(f"settings: {_without_secret(error)}") from None


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
    try:
        return chosen, tomllib.loads(Path(chosen).read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{chosen}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{chosen}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{chosen}: is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{chosen}: is not TOML: {error}") from None


def _apply_environment(table: dict[str, Any], environ: Mapping[str, str], origins: dict[str, str]) -> None:
    """``STREAMSERVER_A__B=value`` sets ``a.b``. Names without a double underscore are not ours:
    Kubernetes makes such ones for a service that is called streamserver."""
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        steps = name.removeprefix(PREFIX).lower().split("__")
        for path in (["providers"], ["auth", "users"]):
            if steps[: len(path)] == path and len(steps) > len(path) + 1:
                steps[len(path)] = _table_named(table, path, steps[len(path)])
        origins[".".join(steps)] = name
        if not all(steps):
            raise ConfigError(f"{name}: there is no such key")
        _set(table, steps, _value(text))


def _table_named(table: dict[str, Any], path: list[str], name: str) -> str:
    """Environment variables have no hyphens and, here, no case; names of tables may have both."""
    found: Any = table
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    same = (known for known in found or () if known.lower().replace("-", "_") == name)
    return next(same, name)


def _value(text: str) -> Any:
    """``text`` as a TOML value, else as the string it is."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _set(table: dict[str, Any], steps: list[str], value: Any) -> None:
    for number, step in enumerate(steps[:-1], start=1):
        inner = table.setdefault(step, {})
        if not isinstance(inner, dict):
            raise Invalid(".".join(steps), f"there is no such key: {'.'.join(steps[:number])} is not a table")
        table = inner
    table[steps[-1]] = value


def _blamed(error: Invalid, source: str, origins: Mapping[str, str]) -> str:
    return f"{_origin(error.key, origins) or source}: {_without_secret(error)}"


def _origin(key: str, origins: Mapping[str, str]) -> str | None:
    """Who set ``key``, or the table or list it lies in, or something in it; None: the file."""
    around = [set_ for set_ in origins if key == set_ or key.startswith((f"{set_}.", f"{set_}["))]
    inside = [set_ for set_ in origins if set_.startswith(f"{key}.")]
    found = max(around, key=len, default=None) or next(iter(inside), None)
    return None if found is None else origins[found]


def _check(settings: Settings, registry: Registry) -> None:
    """What no single key can be wrong about. Raises :class:`~providers.validation.Invalid`."""
    for name, table in settings.providers.items():
        read_options(name, table, registry)
    for key, names in (
        ("provider.default", (settings.provider.default,)),
        ("provider.fallback", settings.provider.fallback),
    ):
        for name in names:
            if name not in settings.providers:
                raise Invalid(key, f"expected one of {', '.join(settings.providers)}", name)
    for name, user in settings.auth.users.items():
        for provider in user.providers:
            if provider not in settings.providers:
                known = ", ".join(settings.providers)
                raise Invalid(f"auth.users.{name}.providers", f"expected some of {known}", provider)
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


def _check_network(key: str, text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Invalid(key, 'expected addresses or networks, like "10.0.0.1" or "10.0.0.0/8"', text) from None


def _without_secret(error: Invalid) -> Invalid:
    """The error, and no value that may be a key somebody put into the file."""
    name = error.key.rsplit(".", 1)[-1].partition("[")[0]
    value, allowed = without_secrets(error.value), error.allowed
    if _names_a_secret(name):
        allowed = "secrets come from the environment: set api_key_env to the name of a variable"
        value = None
    elif name.endswith("_env") or (allowed == "expected a table" and not isinstance(value, (int, float))):
        value = None
    return Invalid(error.key, allowed, value)


def _names_a_secret(name: str) -> bool:
    name = name.lower().replace("-", "_")
    if name.endswith(("_env", "_file")):
        return False
    return name.endswith(("key", "keys", "token")) or any(word in name for word in _SECRET_WORDS)


def without_secrets(value: Any) -> Any:
    """``value``, a table or what may be in one, with ``***`` for the password of every address that has one, and
    for every text under a name that secrets have."""
    match value:
        case str():
            return _PASSWORD.sub("***", value)
        case list() | tuple():
            return [without_secrets(item) for item in value]
        case dict():
            return {
                key: _masked(item) if _names_a_secret(str(key)) else without_secrets(item)
                for key, item in value.items()
            }
        case _:
            return value


def _masked(value: Any) -> Any:
    """Every text in ``value`` replaced; numbers, such as a count of tokens, stay."""
    match value:
        case str():
            return "***"
        case list() | tuple():
            return [_masked(item) for item in value]
        case dict():
            return {key: _masked(item) for key, item in value.items()}
        case _:
            return value
