"""Where in which stream a reader is: ``{stream_id}:{n}``, the id of every event."""

from __future__ import annotations

import re

import msgspec
from aiohttp import web

from streamserver.http.problems import Problem

MAX_OFFSET = 2**48
"""No log is so long; a position past it is past the end of any."""

POSITION = r"([A-Za-z0-9_-]{1,128}):([0-9]{1,100}|end)"
"""The pattern of an event's id."""
_POSITION = re.compile(POSITION)


class Position(msgspec.Struct, frozen=True):
    """The last event that a reader has. ``offset`` is None for ``end``: it has had an ending."""

    stream_id: str
    offset: int | None


def position_of(request: web.Request, in_query: str | None) -> Position | None:
    """The position in ``Last-Event-ID``, else in the query's ``last_event_id``; None without one, or an empty one.

    The header wins: ``EventSource`` sends it when it reconnects, with the URL it began with.
    Raises :class:`~streamserver.http.problems.Problem` for a malformed one.
    """
    values = request.headers.getall("Last-Event-ID", [])
    if len(values) > 1:
        raise Problem("malformed", "There is more than one Last-Event-ID.")
    text = (values[0] if values else "") or in_query
    if not text:
        return None
    match = _POSITION.fullmatch(text)
    if match is None:
        raise Problem("malformed", "Last-Event-ID is not the id of an event, {stream_id}:{number}.")
    return Position(match[1], None if match[2] == "end" else min(int(match[2]), MAX_OFFSET))
