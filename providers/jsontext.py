"""JSON and text that Unicode does not allow.

JSON may escape half of a surrogate pair. Such a string is no Unicode text: it cannot be
encoded, and msgspec refuses to decode it. Here each half reads as U+FFFD, the replacement
character, as browsers read it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 200
"""The maximum nesting of lists and objects. It is bounded because later traversals of the value are recursive."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def scalar(text: str) -> str:
    """Return ``text`` with every lone surrogate replaced by U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def printable(text: str) -> str:
    """Return ``text`` on one line: every line end, and whatever else does not print, as an escape."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def abbreviated(text: str) -> str:
    """Return ``text`` on one line, and without its middle if it is longer than 300 characters, for an error message."""
    if len(text) > 300:
        text = f"{text[:150]}…{text[-150:]}"
    return printable(text)


def scalars(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Return ``value``, as decoded from JSON, with :func:`scalar` applied to every string and key.

    Raises :class:`ValueError` if it is deeper than ``depth``.
    """
    match value:
        case str():
            return scalar(value)
        case list() | dict() if not depth:
            raise ValueError("lists and objects lie too deep in each other")
        case list():
            return [scalars(item, depth - 1) for item in value]
        case dict():
            return {scalar(key): scalars(item, depth - 1) for key, item in value.items()}
        case _:
            return value


class DuplicateKey(ValueError):
    """A duplicate key in an object, which makes its value ambiguous. ``path`` is its location: ``messages[0].role``."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__("a key is doubled")


def loads(data: bytes, *, unique: bool = False) -> Any:
    """Return the value of strict JSON in UTF-8, lone surrogates as U+FFFD.

    Raises :class:`ValueError` (of which :class:`UnicodeDecodeError` is one) or
    :class:`RecursionError` for anything else: :class:`OutOfRange` for such a number, with ``unique``
    :class:`DuplicateKey` for a doubled key.
    """
    text = data.decode()
    try:
        value = (_UNIQUE_KEYS if unique else _STRICT).decode(text)
    except DuplicateKey:
        path = next(_doubled(json.loads(text, object_pairs_hook=_Pairs)))
        raise DuplicateKey(path.removeprefix(".")) from None
    except OutOfRange:
        path = next(_infinite(json.loads(text)), "")
        raise OutOfRange(path.removeprefix(".")) from None
    # Half a surrogate pair can only come as an escape. Most values need no walk.
    return scalars(value) if "\\u" in text or not is_flat(data) else value


def is_flat(data: bytes) -> bool:
    """Return whether a JSON text has too few lists and objects to be deeper than :data:`MAX_DEPTH`."""
    return data.count(b"[") + data.count(b"{") <= MAX_DEPTH


class OutOfRange(ValueError):
    """A number that is too large for a float, and would be written as null. ``path`` is its location."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__("a number is out of range")


class _Pairs(list[tuple[str, Any]]):
    """An object with all its keys."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise DuplicateKey("")
    return table


def _doubled(value: Any) -> Iterator[str]:
    """Return the paths of all doubled keys in ``value``.

    They are put together only of what is found: keys may be long.
    """
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, item in value:
            if key in seen:
                yield f".{key}"
            seen.add(key)
            yield from (f".{key}{inner}" for inner in _doubled(item))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from (f"[{number}]{inner}" for inner in _doubled(item))


def _infinite(value: Any) -> Iterator[str]:
    """Yield the paths of all numbers in ``value`` that are infinite."""
    match value:
        case dict():
            for key, item in value.items():
                yield from (f".{key}{inner}" for inner in _infinite(item))
        case list():
            for number, item in enumerate(value):
                yield from (f"[{number}]{inner}" for inner in _infinite(item))
        case float() if math.isinf(value):
            yield ""


def _finite(digits: str) -> float:
    """Read a number; one too large for a float would be written as null."""
    value = float(digits)
    if not math.isfinite(value):
        raise OutOfRange("")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_STRICT = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
_UNIQUE_KEYS = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)


def as_json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that ``text`` is, None if it is anything else, or nested too deeply."""
    try:
        value = loads(scalar(text).encode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
