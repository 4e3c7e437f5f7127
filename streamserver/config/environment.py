"""Settings from environment variables, and warnings about variables that look like settings."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from providers.validation import Invalid
from streamserver.config.settings import User
from streamserver.config.table import SETTINGS, rows

ENV_PREFIX = "STREAMSERVER_"
CONFIG_VARIABLE = "STREAMSERVER_CONFIG"

_KUBERNETES = re.compile(r"(^|_)SERVICE_(HOST|PORT)(_|$)|_(TCP|UDP)(_(PROTO|PORT|ADDR))?$")
"""The variables of a service (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables)
besides ``NAME_PORT``, the value of which is an address."""
_LISTS = frozenset(row.path for row in SETTINGS if isinstance(row.default, tuple))
_USER_LISTS = frozenset(row.key for row in rows("auth.users.NAME", User) if isinstance(row.default, tuple))
_VARIABLES = {
    alias: f"{ENV_PREFIX}{row.section}__{row.key}".upper()
    for row in reversed(SETTINGS)
    for alias in (row.key, f"{row.section}_{row.key}")
}
"""The variable of each setting, by the names that are easily mistaken for it; of equal keys the first setting's."""


def apply_environment(table: dict[str, Any], environ: Mapping[str, str], origins: dict[str, str]) -> None:
    """Set ``a.b`` in ``table`` for each ``STREAMSERVER_A__B=value``, and note the variable in ``origins``.

    Names without a double underscore are ignored: Kubernetes makes such names for a service called streamserver.
    Raises :class:`~providers.validation.Invalid`.
    """
    for name, text in sorted(environ.items()):
        if not name.startswith(ENV_PREFIX) or "__" not in name:
            continue
        steps = name.removeprefix(ENV_PREFIX).lower().split("__")
        for path in (["providers"], ["auth", "users"]):
            if steps[: len(path)] == path and len(steps) > len(path) + 1:
                steps[len(path)] = _table_named(table, path, steps[len(path)])
        key = ".".join(steps)
        origins[key] = name
        if not all(steps):
            raise Invalid(key, "there is no such key")
        set_key(table, steps, _value(text, is_list=_is_list(steps)))


def parse_toml(text: str) -> dict[str, Any]:
    """Parse ``text``. Raises :class:`ValueError`, also where tomllib raises a RecursionError."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("lists or tables are nested too deeply") from None


def set_key(table: dict[str, Any], steps: list[str], value: Any) -> None:
    """Set the key at the path ``steps``. Raises :class:`~providers.validation.Invalid` if a step is no table."""
    for number, step in enumerate(steps[:-1], start=1):
        inner = table.setdefault(step, {})
        if not isinstance(inner, dict):
            raise Invalid(".".join(steps), f"there is no such key: {'.'.join(steps[:number])} is not a table")
        table = inner
    table[steps[-1]] = value


def misnamed(environ: Mapping[str, str], used: frozenset[str]) -> Iterator[str]:
    """Return a warning for each variable that looks like a setting and is ignored; ``used`` are those that are not."""
    for name, text in sorted(environ.items()):
        rest = name.removeprefix(ENV_PREFIX)
        if rest == name or "__" in name or name in used or "://" in text or _KUBERNETES.search(rest):
            continue
        if right := _meant(rest, used):
            yield f"{name} is ignored: did you mean {right}?"


def _meant(rest: str, used: frozenset[str]) -> str | None:
    """Return the variable that ``rest``, a name without the prefix, was meant to be; None if it is like none."""
    names = {
        **_VARIABLES,
        **{name.removeprefix(ENV_PREFIX).lower(): name for name in used if name.startswith(ENV_PREFIX)},
    }
    near = difflib.get_close_matches(rest.lower(), names, n=1, cutoff=0.85)
    return names[near[0]] if near else None


def _table_named(table: dict[str, Any], path: list[str], name: str) -> str:
    """Return the name of the table that is ``name`` without regard to case and hyphens, which variables do not have."""
    found: Any = table
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    same = (known for known in found or () if known.lower().replace("-", "_") == name)
    return next(same, name)


def _is_list(steps: list[str]) -> bool:
    match steps:
        case ["providers", _, "models"]:
            return True
        case ["auth", "users", _, key]:
            return key in _USER_LISTS
        case _:
            return ".".join(steps) in _LISTS


def _value(text: str, *, is_list: bool) -> Any:
    """Return ``text`` as a TOML value, else as a list with commas, else as the string that it is."""
    try:
        parsed = parse_toml(f"value = {text}")
        value = parsed["value"] if len(parsed) == 1 else text
    except ValueError:
        value = text
    if is_list and isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value
