"""Records as bytes, and back: how a log travels between nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from providers.base import Reasoning, Text, ToolCall
from providers.jsontext import scalar
from streamserver.log.records import ContinuedText, Done, Failed, Record, Start, TokenUsage

KINDS: dict[str, type[Record]] = {
    "s": Start,
    "t": Text,
    "c": ContinuedText,
    "r": Reasoning,
    "k": ToolCall,
    "d": Done,
    "f": Failed,
}
"""Every kind of record, under the tag it travels with."""

_TAGS = {kind: tag for tag, kind in KINDS.items()}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[list[Any]]).decode


class Unreadable(ValueError):
    """No records that are known here: of another version's writer, perhaps."""


def encode(records: Sequence[Record]) -> bytes:
    """The bytes of ``records``. A lone surrogate, which no bytes can stand for, becomes U+FFFD."""
    rows = [(_TAGS[type(record)], *msgspec.structs.astuple(record)) for record in records]
    try:
        return _encode(rows)
    except UnicodeEncodeError:
        return _encode([[scalar(value) if isinstance(value, str) else value for value in row] for row in rows])


def decode(data: bytes) -> list[Record]:
    """What :func:`encode` made ``data`` from. Raises :class:`Unreadable`."""
    try:
        return [_record(*row) for row in _decode(data)]
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise Unreadable from error


def _record(tag: str, *fields: Any) -> Record:
    kind = KINDS[tag]
    if kind is Done or kind is Failed:
        fields = tuple(TokenUsage(**field) if isinstance(field, dict) else field for field in fields)
    return kind(*fields)
