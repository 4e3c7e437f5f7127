"""Why a stream is not started, or not read: there is no room."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

UserLimit: TypeAlias = Literal["requests", "streams", "tokens"]
"""What a user may have only so many of: starts a minute, streams at a time, tokens a day."""
LimitName: TypeAlias = Literal[UserLimit, "readers", "max_streams"]
LIMITS: tuple[LimitName, ...] = get_args(LimitName)
"""What may be reached, by the names that refusals and metrics give it."""


class Refused(Exception):
    """A stream or a reader too many. The class says which."""


class TooManyStreams(Refused):
    """``max_streams`` are running."""


class TooManyReaders(Refused):
    """``max_readers_per_stream`` are reading this one."""


class Draining(Refused):
    """The server is shutting down and starts nothing new."""
