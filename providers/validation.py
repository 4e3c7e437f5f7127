"""Conversion of a table of values to a typed one, with errors that name the key and what is allowed."""

from __future__ import annotations

import difflib
import math
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from yarl import URL

from providers.jsontext import abbreviated, printable

T = TypeVar("T")

_AT = re.compile(r"(?P<message>.*?)(?: - at `(?P<path>[^`]*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")


class Invalid(ValueError):
    """A value that is not allowed. ``key`` is its dotted path, ``value`` what was found (None if
    it is missing, or must not be shown), ``allowed`` what would be right."""

    def __init__(self, key: str, allowed: str, value: object = None) -> None:
        self.key = key
        self.allowed = allowed
        self.value = value
        shown = "" if value is None else f" = {_short(value)}"
        super().__init__(printable(f"{abbreviated(key)}{shown}: {allowed}" if key else allowed))


def convert(value: object, kind: type[T], *, prefix: str = "") -> T:
    """Return ``value`` (tables, lists and plain values) as a ``kind``, a msgspec Struct.

    ``prefix`` is the dotted path of ``value`` itself, for the error. Raises :class:`Invalid`.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise explain(error, value, kind, prefix=prefix) from None


def check_json(value: object, key: str) -> None:
    """Raise :class:`Invalid` if ``value``, at the dotted path ``key``, holds what JSON cannot express."""
    match value:
        case dict():
            for name, item in value.items():
                check_json(item, _join(key, str(name)))
        case list():
            for number, item in enumerate(value):
                check_json(item, _join(key, str(number)))
        case float() if not math.isfinite(value):
            raise Invalid(key, "expected a finite number", value)
        case None | str() | bool() | int() | float():
            pass
        case _:
            raise Invalid(
                key, "expected a value that JSON has: a string, a number, true, false, a list or a table", str(value)
            )


_API_PATHS = ("/chat/completions", "/responses", "/messages")


def check_address(address: object, key: str) -> None:
    """Raise :class:`Invalid` for a ``base_url`` that no request could be sent to, that has the path of an API, which
    is added to it, or that has a query: a key in it would be printed wherever addresses are."""
    if not isinstance(address, str):
        return
    if not address.isprintable() or " " in address:
        raise Invalid(key, "has a line break, a blank or a control character in it")
    for path in _API_PATHS:
        if address.rstrip("/").endswith(path):
            raise Invalid(key, f"ends with {path}: leave that out, the server adds it")
    try:
        url = URL(address)
        usable = bool(url.host) and url.port is not None and not (url.query_string or url.fragment)
    except ValueError:
        usable = False
    if not usable:
        raise Invalid(key, "expected an http:// or https:// address, with a host and without a query")


def explain(error: msgspec.ValidationError, value: object, kind: type[Any], *, prefix: str = "") -> Invalid:
    """Return what msgspec found wrong with ``value``. msgspec itself quotes no value."""
    match = _AT.fullmatch(str(error))
    assert match is not None
    message, path = match["message"], match["path"] or "$"
    steps = _named([step["key"] or step["index"] for step in _STEP.finditer(path)], value, kind)
    name = re.search(r"`([^`]*)`", message)
    if message.startswith("Object contains unknown field") and name:
        return Invalid(_join(prefix, *steps, name[1]), _unknown(name[1], _hint(kind, steps)))
    if message.startswith("Object missing required field") and name:
        hint = _describe(_hint(kind, [*steps, name[1]]))
        return Invalid(_join(prefix, *steps, name[1]), f"is missing; expected {hint}" if hint else "is missing")
    expected = _describe(_hint(kind, steps)) or _plain(message)
    return Invalid(_join(prefix, *steps), f"expected {expected}", _find(value, steps))


def _named(steps: list[str], value: Any, kind: object) -> list[str]:
    """Return ``steps`` with the keys of free tables, for which msgspec writes ``...``."""
    named: list[str] = []
    for step in steps:
        table = _find(value, named)
        if step == "..." and isinstance(table, dict):
            inside = _hint(kind, [*named, step])
            step = next((key for key, item in table.items() if not _converts(item, inside)), step)
        named.append(step)
    return named


def _converts(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _unknown(name: str, kind: object) -> str:
    structs = [each for each in _members(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    known = [field.encode_name for each in structs for field in msgspec.structs.fields(each)]
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"there is no such key; did you mean {near[0]!r}?"
    return f"there is no such key; known are {', '.join(known)}"


def _join(*parts: str) -> str:
    joined = ""
    for part in filter(None, parts):
        joined += f"[{part}]" if part.isdigit() or part == "..." else f".{part}" if joined else part
    return joined


def _plain(message: str) -> str:
    """Return msgspec's words without its quoting: "Expected `int | null`" → "a whole number".

    Null counts as absent, so it is not offered.
    """
    text = message.removeprefix("Expected ").split(", got ")[0].replace("`", "")
    text = text.removesuffix(" | null").replace(" | ", " or ")
    for word, plain in _TYPE_WORDS:
        text = re.sub(rf"\b{word}\b", plain, text)
    return text


_TYPE_WORDS = (
    ("int", "a whole number"),
    ("float", "a number"),
    ("str", "a string"),
    ("bool", "true or false"),
    ("array", "a list"),
    ("object", "a table"),
)


def _hint(kind: object, steps: list[str]) -> object:
    """Return the annotation of what ``steps`` lead to, None if they leave what is typed."""
    for step in steps:
        kind = next(filter(None, (_inside(member, step) for member in _members(kind))), None)
    return kind


def _inside(kind: object, step: str) -> object:
    """Return the annotation of one field, element or value of ``kind``, which is no union."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        names = {field.encode_name: field.name for field in msgspec.structs.fields(kind)}
        return typing.get_type_hints(kind, include_extras=True).get(names.get(step, step))
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (list, tuple) and (step.isdigit() or step == "..."):
        return arguments[0]
    return arguments[1] if typing.get_origin(kind) is dict else None


def _members(kind: object) -> Iterator[object]:
    """Yield ``kind``, or, if it is a union, each of its members."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        for member in typing.get_args(kind):
            yield from _members(member)
    else:
        yield kind


def _describe(hint: object) -> str | None:
    """Return the description in a field's annotation, or in that of a member of a union."""
    if typing.get_origin(hint) is typing.Annotated:
        for meta in typing.get_args(hint)[1:]:
            if isinstance(meta, msgspec.Meta) and meta.description:
                return meta.description
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(hint)))}"
    if typing.get_origin(hint) in (list, tuple, dict):
        return None
    return next(filter(None, map(_describe, typing.get_args(hint))), None)


def _find(value: Any, steps: list[str]) -> object:
    for step in steps:
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # a number, in hexadecimal, of more digits than Python shows
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else f"{text[:57]}..."
