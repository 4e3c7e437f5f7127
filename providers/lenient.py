"""Frames of a provider's stream, decoded field by field.

A frame is decoded strictly first, into a msgspec struct of what is read of it, which takes about a microsecond. Only
where that fails is it read leniently: a field of another type than expected counts as absent, and takes nothing of the
frame with it. Values that an answer depends on, such as its text, have the type ``Any`` in those structs, and the
functions at the end of this file read them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from providers.errors import malformed_response
from providers.jsontext import is_flat, scalars

T = TypeVar("T", bound=msgspec.Struct)

_ABSENT = object()
_decode_any = msgspec.json.Decoder().decode


def decode_leniently(data: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """Return the frame in ``data``, which ``decoder`` refuses, or None if it is no JSON object: a keepalive, or an end
    marker.

    Raises :class:`~providers.errors.UpstreamError` for truncated or invalid JSON.
    """
    value = json_object(data)
    return None if value is None else convert_leniently(value, decoder.type)


def json_object(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object in ``data``, None if it is something else. Raises as :func:`json_value`."""
    value = json_value(data)
    return value if isinstance(value, dict) else None


def json_value(data: bytes) -> Any:
    """Return the JSON value in ``data``, None for what was never meant to be one, such as ``: keepalive``.

    Python reads what msgspec refuses: an escaped lone surrogate is U+FFFD, ``NaN`` is null, and a string may hold
    control characters. What begins like an object or a list was meant to be one.
    Raises :class:`~providers.errors.UpstreamError` if it is truncated or invalid, or not UTF-8.
    """
    if is_flat(data):
        try:
            return _decode_any(data)
        except (ValueError, RecursionError):
            pass
    try:
        return scalars(json.loads(data.decode(), parse_constant=_null, strict=False))
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnicodeDecodeError) or (is_json_text(data) and not is_end_marker(data)):
            raise malformed_response("not_json") from None
        return None


def _null(constant: str) -> None:
    """Read ``NaN`` and ``Infinity``, which Python's servers write and JSON does not have."""


def is_json_text(data: bytes) -> bool:
    """Return whether ``data`` begins like a JSON object or list."""
    return data.lstrip()[:1] in (b"{", b"[")


def is_end_marker(data: bytes) -> bool:
    """Return whether ``data`` is the ``[DONE]`` that ends OpenAI's streams; its SDK looks at its beginning alone
    (https://github.com/openai/openai-python/blob/main/src/openai/_streaming.py, ``Stream.__stream__``).

    Some servers write it in lower case.
    """
    return data.lstrip()[:6].upper() == b"[DONE]"


def convert_leniently(value: Mapping[str, Any], kind: type[T]) -> T:
    """Return ``value`` as a ``kind``. A field that cannot be read has its default."""
    fields = {}
    for name, key, expected in _fields(kind):
        if key in value:
            found = _read_field(value[key], expected)
            if found is not _ABSENT:
                fields[name] = found
    return kind(**fields)


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, Any], ...]:
    """Return name, key and type of every field; of an optional one the type without None."""
    hints = get_type_hints(kind)
    return tuple(
        (field.name, field.encode_name, _without_none(hints[field.name])) for field in msgspec.structs.fields(kind)
    )


def _without_none(expected: Any) -> Any:
    if isinstance(expected, UnionType):
        return next(member for member in get_args(expected) if member is not NoneType)
    return expected


def _read_field(value: Any, expected: Any) -> Any:
    if expected is Any:
        return value
    if get_origin(expected) is list:
        return list(_read_items(value, get_args(expected)[0]))
    if isinstance(expected, type) and issubclass(expected, msgspec.Struct):
        return convert_leniently(value, expected) if isinstance(value, dict) else _ABSENT
    if expected is int:
        count = as_count(value)
        return _ABSENT if count is None else count
    return value if isinstance(value, get_origin(expected) or expected) else _ABSENT


def _read_items(value: Any, expected: Any) -> Iterator[Any]:
    """Yield the items of a list that can be read. An object in the place of a list of objects is its only item."""
    for item in _items(value):
        found = _read_field(item, expected)
        if found is not _ABSENT:
            yield found


def as_count(value: object) -> int | None:
    """Return ``value`` as a whole number: 12, 12.0 and "12" are 12. None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else None


def as_text(value: object) -> str:
    """Return the text that ``value`` has to be: empty for None.

    Raises :class:`~providers.errors.UpstreamError` for anything else: to leave it out would cut the answer.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise malformed_response("not_json")


def as_word(value: object) -> str | None:
    """Return a name or an identifier, None if ``value`` is none or is empty."""
    return value if isinstance(value, str) and value else None


def as_object(value: object) -> dict[str, Any]:
    """Return ``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> Iterator[dict[str, Any]]:
    """Yield the objects in a list; an object in the place of the list is its only item."""
    yield from (item for item in _items(value) if isinstance(item, dict))


def _items(value: object) -> list[Any]:
    return [value] if isinstance(value, dict) else value if isinstance(value, list) else []
