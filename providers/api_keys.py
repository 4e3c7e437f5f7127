"""API keys of providers, as environment variables hold them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class ApiKey(msgspec.Struct, frozen=True):
    """The value of a variable: a key that can be sent, or else why there is none, in one line without the value."""

    value: str | None = None
    problem: str | None = None
    is_set: bool = True


def read_api_key(variable: str, environ: Mapping[str, str]) -> ApiKey:
    """Return the key in ``variable``. Blanks and line ends around it are no part of it.

    Files of environment variables, secret stores and copying by hand leave more than the key: what no header can
    carry, or no vendor's key has, is named instead of being sent.
    """
    key = environ.get(variable, "").strip()
    if not key:
        return ApiKey(problem=f"{variable} is not set", is_set=False)
    accident = _accident(key)
    return ApiKey(key) if accident is None else ApiKey(problem=f"{variable} {accident}")


def _accident(key: str) -> str | None:
    if key.startswith("\ufeff"):
        return "begins with a byte order mark: save the file that it comes from as UTF-8 without one"
    if "\n" in key or "\r" in key:
        return "has a line break in it: it must hold one key and nothing else"
    if len(key) > 1 and key[0] == key[-1] and key[0] in "'\"`":
        return "has quotes around the key: remove them"
    if key.lower().startswith("bearer "):
        return "begins with Bearer: remove it, the server adds it"
    if not key.isascii():
        return "has a character that is not ASCII, such as a typographic quote"
    if not key.isprintable() or " " in key:
        return "has a blank or a control character in it"
    return None
