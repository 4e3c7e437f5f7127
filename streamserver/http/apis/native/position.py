"""The position of a reader in a stream: ``{stream_id}:{n}``, the id of every event."""

from __future__ import annotations

import re

import msgspec
from aiohttp import web

from streamserver.core.refusals import Refusal
from streamserver.log.base import Log
from streamserver.log.records import has_stable_offset
from streamserver.wire.native import last_number

MAX_NUMBER = 2**48
"""No stream has so many events; a position past it is past the end of any."""

POSITION = r"([A-Za-z0-9_-]{1,128}):([0-9]{1,100}|end)"
"""The pattern of an event's id."""
_POSITION = re.compile(POSITION)


class Position(msgspec.Struct, frozen=True):
    """The last event that a reader has. ``number`` is None for ``end``: it has had an ending."""

    stream_id: str
    number: int | None

    def is_end_of(self, log: Log) -> bool:
        """Return whether a reader at this position has the terminal event of ``log``."""
        return log.terminal is not None and has_stable_offset(log.terminal) and self.number == last_number(log)


def position_of(request: web.Request, in_query: str | None) -> Position | None:
    """Return the position in ``Last-Event-ID``, else in the query's ``last_event_id``; None if there is none, or an
    empty one.

    The header wins: ``EventSource`` sends it when it reconnects, with the URL it began with.
    Raises :class:`~streamserver.core.refusals.Refusal` for a malformed one.
    """
    values = request.headers.getall("Last-Event-ID", [])
    if len(values) > 1:
        raise Refusal("malformed", "There is more than one Last-Event-ID.")
    text = (values[0] if values else "") or in_query
    if not text:
        return None
    match = _POSITION.fullmatch(text)
    if match is None:
        raise Refusal("malformed", "Last-Event-ID is not the id of an event, {stream_id}:{number}.")
    return Position(match[1], None if match[2] == "end" else min(int(match[2]), MAX_NUMBER))
