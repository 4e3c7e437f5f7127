"""The body of an answer, as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import EmptyStreamReader

PIECE_OVERHEAD_BYTES = 64
"""What a piece counts for before reading is paused, besides its bytes: it may have only one."""


class Body(StreamReader):
    """What aiohttp's parser feeds and one reader takes, all that is there each time.

    aiohttp's own keeps the ends of HTTP chunks for readers that ask for them, and has its parser look for more
    after each read: a third of the byte code that a token took which came alone. The parser makes its reader
    itself; so :meth:`of` makes that one a :class:`Body`, before anything has been read from it.
    """

    __slots__ = ()

    @classmethod
    def of(cls, reader: StreamReader) -> Body:
        """``reader`` itself, with what it holds, from now on as a :class:`Body`. It has not been read.

        All answers without a body share one reader of aiohttp's; each gets a body of its own that is at its end.
        """
        if isinstance(reader, EmptyStreamReader):
            loop = asyncio.get_running_loop()
            reader = StreamReader(BaseProtocol(loop), 0, loop=loop)
            reader.feed_eof()
        assert type(reader) is StreamReader, f"aiohttp's reader is a {type(reader).__name__}, which cannot be replaced"
        reader.__class__ = cls
        assert isinstance(reader, Body)
        return reader

    @property
    def pieces(self) -> Sequence[bytes]:
        """aiohttp's own buffer, not a copy: it fills and empties under whoever holds it."""
        return self._buffer

    def take(self) -> bytes:
        """All that is there. To be called when :attr:`pieces` is not empty."""
        pieces = self._buffer
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        if self._protocol._reading_paused:
            self._protocol.resume_reading()
        return data

    def change(self) -> asyncio.Future[None] | None:
        """Done at the next piece, the end or a failure; None if it has ended or failed. For one who waits, when there
        is nothing to take."""
        if self._eof or self._exception is not None:
            return None
        assert self._waiter is None or self._waiter.done(), "two read one body"
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        if not data:
            return False
        self._buffer.append(data)
        waiter = self._waiter
        if waiter is None:
            self._size += PIECE_OVERHEAD_BYTES + len(data)
            if self._size > self._high_water:
                self._protocol.pause_reading()
        else:  # somebody waits, who takes it in the next turn: it is not counted
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        return False

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        self._exception = exc
        self._eof_callbacks.clear()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def begin_http_chunk_receiving(self) -> None:
        """Where the chunks of HTTP end says nothing."""

    def end_http_chunk_receiving(self) -> None:
        """The same."""
