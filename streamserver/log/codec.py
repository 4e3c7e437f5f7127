"""Records as bytes, and back: how a log travels between nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from providers.base import AnsweringModel, BlockEnd, Frame, Reasoning, RefusalText, Text, ToolCall
from providers.jsontext import scalar, scalars
from streamserver.log.records import ContinuedText, Done, Failed, Record, Start

KINDS: dict[str, type[Record]] = {
    "s": Start,
    "t": Text,
    "c": ContinuedText,
    "x": RefusalText,
    "r": Reasoning,
    "k": ToolCall,
    "b": BlockEnd,
    "m": AnsweringModel,
    "w": Frame,
    "d": Done,
    "f": Failed,
}
"""Every kind of record, under the tag it travels with."""

_TAGS = {kind: tag for tag, kind in KINDS.items()}
_FLAT = frozenset({Text, ContinuedText, RefusalText, Reasoning, ToolCall, AnsweringModel})
"""Kinds with plain values as fields."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[list[Any]]).decode


class Unreadable(ValueError):
    """Bytes that are no records known here, perhaps those of another version's writer."""


def encode(records: Sequence[Record]) -> bytes:
    """Return the bytes of ``records``. A lone surrogate, which no bytes can stand for, becomes U+FFFD."""
    rows = [_row(record) for record in records]
    try:
        return _encode(rows)
    except UnicodeEncodeError:
        return _encode([[_clean(value) for value in row] for row in rows])


def encode_text(text: str) -> bytes:
    """Return what :func:`encode` returns for a single :class:`~providers.base.Text`."""
    try:
        return _encode([("t", text)])
    except UnicodeEncodeError:
        return _encode([("t", scalar(text))])


def decode(data: bytes) -> list[Record]:
    """Return the records that ``data`` was made from. Raises :class:`Unreadable`."""
    try:
        return [_record(*row) for row in _decode(data)]
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise Unreadable from error


def _row(record: Record) -> tuple[Any, ...]:
    if isinstance(record, Frame):
        return ("w", record.protocol, record.type, record.data, [list(_row(piece)) for piece in record.pieces])
    return (_TAGS[type(record)], *msgspec.structs.astuple(record))


def _record(tag: str, *fields: Any) -> Any:
    kind = KINDS[tag]
    if kind in _FLAT:
        return kind(*fields)
    if kind is Frame:
        protocol, name, data, pieces = fields
        return Frame(protocol, name, data, tuple(_record(*piece) for piece in pieces))
    return msgspec.convert(dict(zip(kind.__struct_fields__, fields, strict=False)), kind)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return scalar(value)
    if isinstance(value, bytes):
        return value
    return scalars(msgspec.to_builtins(value, builtin_types=(bytes,)))
