"""The log's interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from streamserver.log.records import Piece, Record, Start, Terminal


class LogFull(Exception):
    """The next piece would exceed ``resume.max_log_bytes``."""


class Log(Protocol):
    """An append-only log of one generation, with one writer and any number of readers.

    Guarantees:

    - Records have offsets from 0, rising by one, without holes; a record never changes, with the exception that
      :meth:`accept` names. Record 0 is a :class:`~streamserver.log.records.Start`.
    - The last record of a log that has ended is its one :data:`~streamserver.log.records.Terminal`; nothing follows it.
    - A reader that takes from an offset sees every record from there once, in order. The writer never waits for a
      reader.
    - Where a store decides about endings (:meth:`share`), no reader sees an ending before the store has accepted it.
    """

    stream_id: str
    on_appended: Callable[[str], object] | None
    """Called with the stream's id by the next append, once, before it returns: for a store, which only notes it."""

    @property
    def start(self) -> Start: ...

    @property
    def records(self) -> Sequence[Record]:
        """The log's own list of all that readers can take. It is never replaced, grows in place, and must not be
        changed. :meth:`take` copies."""
        ...

    @property
    def proposed(self) -> Terminal | None:
        """The ending that the writer has chosen, None before it has. Nothing is appended from then on."""
        ...

    @property
    def terminal(self) -> Terminal | None:
        """The terminal record, None until the log has ended."""
        ...

    @property
    def size_bytes(self) -> int:
        """The size of the text, and an overhead per record; ``resume.max_log_bytes`` bounds it."""
        ...

    def __len__(self) -> int:
        """Return the number of records that readers can take, which is the offset of the next one."""
        ...

    def append(self, record: Piece) -> bool:
        """Add a piece and wake the readers. Return False, and add nothing, if an ending has been proposed.

        Raises :class:`LogFull`, with nothing added; a terminal record fits into any log.
        """
        ...

    def close(self, terminal: Terminal, on_closed: Callable[[Terminal], object] | None = None) -> bool:
        """Propose an ending. Return False, and change nothing, if one was proposed or accepted before.

        The log ends, and its readers wake, when the ending is accepted: at once, unless the log is shared. Then
        ``on_closed`` is called with the terminal record that the log has got, which may be another one.
        """
        ...

    def share(self, on_proposed: Callable[[], object]) -> None:
        """Let a store decide about the ending: from now on :meth:`close` calls ``on_proposed`` instead of accepting."""
        ...

    def accept(self, terminal: Terminal) -> None:
        """End the log with ``terminal``, and wake the readers.

        If it had ended with another record, that one is replaced. This happens only to an ending that local readers
        were told while the store was away.
        """
        ...

    def take(self, offset: int, limit: int) -> Sequence[Record]:
        """Return the records from ``offset`` on, ``limit`` of them at most; fewer only if there are no more yet."""
        ...

    def subscribe(self, wake: Callable[[], object]) -> None:
        """Have the event loop call ``wake`` once, after the next append or the end.

        To be called when :meth:`take` has returned all there is, in the same turn of the event loop.
        """
        ...

    def unsubscribe(self, wake: Callable[[], object]) -> None:
        """Forget ``wake``. It may still be called if the log has grown already."""
        ...
