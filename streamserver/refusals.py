"""Why a stream is not started, or not read: there is no room."""

from __future__ import annotations


class Refused(Exception):
    """A stream or a reader too many. The class says which."""


class TooManyStreams(Refused):
    """``max_streams`` are running."""


class TooManyReaders(Refused):
    """``max_readers_per_stream`` are reading this one."""


class Draining(Refused):
    """The server is shutting down and starts nothing new."""
