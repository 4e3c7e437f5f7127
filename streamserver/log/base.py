"""The log's interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from streamserver.log.records import Piece, Record, Start, Terminal


class LogFull(Exception):
    """The next piece would pass ``resume.max_log_bytes``."""


class Log(Protocol):
    """An append-only log of one generation, with one writer and any number of readers.

    Guarantees:

    - Records have offsets from 0, rising by one, without holes; a record never changes.
      Record 0 is a :class:`~streamserver.log.records.Start`.
    - The last record of a closed log is its one :data:`~streamserver.log.records.Terminal`; nothing follows it.
    - A reader that takes from an offset sees every record from there once, in order. How fast
      it reads is nobody else's business: the writer never waits.
    """

    stream_id: str

    @property
    def start(self) -> Start: ...

    @property
    def terminal(self) -> Terminal | None:
        """The terminal record, None while the log is open."""
        ...

    @property
    def size_bytes(self) -> int:
        """The text held, and an overhead per record; what ``resume.max_log_bytes`` bounds."""
        ...

    def __len__(self) -> int:
        """How many records there are; the offset of the next one."""
        ...

    def append(self, record: Piece) -> bool:
        """Add a piece and wake the readers. False, and nothing added, if the log is closed.

        Raises :class:`LogFull`, with nothing added; an end has room in any log.
        """
        ...

    def close(self, terminal: Terminal) -> bool:
        """End the log and wake the readers. False, and nothing changed, if it had ended before:
        of several who try at once, one decides."""
        ...

    def take(self, offset: int, limit: int) -> Sequence[Record]:
        """The records from ``offset`` on, ``limit`` of them at most: fewer only if there are no more yet."""
        ...

    def subscribe(self, wake: Callable[[], object]) -> None:
        """Have ``wake`` called once, by the event loop, after the next append or close.

        To be called when :meth:`take` has given all there is, in the same turn of the event loop.
        """
        ...

    def unsubscribe(self, wake: Callable[[], object]) -> None:
        """Forget ``wake``. If the log has grown already, it may be called yet."""
        ...
