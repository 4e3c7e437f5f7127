"""Server-Sent Events with one JSON object as their data, as on every wire but the native one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from providers.jsontext import scalars
from providers.lenient import json_object

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def to_json(value: Any) -> bytes:
    """Return ``value`` as JSON on one line. A lone surrogate, which no bytes can stand for, becomes U+FFFD."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(scalars(msgspec.to_builtins(value)))


def from_json(data: bytes) -> dict[str, Any]:
    """Return the object in a provider's frame, which its parser has read as leniently."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):
        return json_object(data) or {}


def without_nulls(table: Mapping[str, T]) -> dict[str, T]:
    """Return the fields of ``table`` that say something: not to every client is null as good as absent."""
    return {name: value for name, value in table.items() if value is not None}


def data_event(data: bytes) -> bytes:
    """Return an unnamed event.

    These wires have no ``id:``: openai-python turns each blank line behind one into an empty event and fails
    (https://github.com/openai/openai-python/blob/main/src/openai/_streaming.py, ``SSEDecoder.decode``).
    """
    return b"data: %b\n\n" % data


def named_event(name: str, data: bytes) -> bytes:
    """Return an event with a name, which is also the ``type`` in its data."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
