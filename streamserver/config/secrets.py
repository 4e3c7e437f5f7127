"""Keep secrets out of messages: a configuration may hold them where they do not belong."""

from __future__ import annotations

import re
from typing import Any

from providers.validation import Invalid

_PASSWORD = re.compile(r"(?<=:)(?!//)\S+(?=@)|(?<=[?&]password=)[^&\s]+")
"""The part of an address between the user's name and the last ``@``, or redis-py's parameter."""
_SECRET_WORDS = ("secret", "password", "passwd", "credential", "authorization")


def without_secret(error: Invalid) -> Invalid:
    """Return ``error`` without a value that may be a secret, and with advice where a secret was put into the file."""
    name = error.key.rsplit(".", 1)[-1].partition("[")[0]
    value, allowed = without_secrets(error.value), error.allowed
    if _names_a_secret(name) and not _is_number(value):
        value = None
        if error.key.startswith("providers."):
            allowed = "secrets come from the environment: set api_key_env to the name of a variable"
    elif name.endswith("_env") or (allowed == "expected a table" and not _is_number(value)):
        value = None
    return Invalid(error.key, allowed, value)


def without_secrets(value: Any) -> Any:
    """Return ``value`` with ``***`` for passwords in addresses, and for every text under a secret's name."""
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


def _names_a_secret(name: str) -> bool:
    name = name.lower().replace("-", "_")
    if name.endswith(("_env", "_file")):
        return False
    return name.endswith(("key", "keys", "token")) or any(word in name for word in _SECRET_WORDS)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def _masked(value: Any) -> Any:
    """Return ``value`` with every text replaced; numbers, such as a count of tokens, stay."""
    match value:
        case str():
            return "***"
        case list() | tuple():
            return [_masked(item) for item in value]
        case dict():
            return {key: _masked(item) for key, item in value.items()}
        case _:
            return value
