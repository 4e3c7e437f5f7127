"""The parts of aiohttp's client that are not in its documentation, and what is used where they are missing.

Connections are kept for the next request only if they can be watched while they are idle (:class:`WatchedConnection`);
bodies are read past aiohttp's own reader only if it can be replaced (:class:`Body`); requests go without a session
only if it can be left out (:func:`can_send_without_session`). A version of aiohttp without those parts serves
every request over a connection of its own, and sends and reads in the documented way: slower, and as correct.
``tests/providers/test_aiohttp.py`` fails for such a version.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import select
from collections.abc import Iterable, Sequence, Sized
from typing import Any

import aiohttp
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import EmptyStreamReader

RACE_SECONDS = 1.0
"""A kept connection that ends within this time of the request, without a byte of an answer, was being closed as the
request was sent. Later, the provider may have been working on it."""

PIECE_OVERHEAD_BYTES = 64
"""What a piece of a body counts for before reading is paused, besides its bytes: it may have only one."""

TAKE_BYTES = 32 * 1024
"""The most that one read takes: it bounds the work between two turns of the event loop."""

LONE_CHUNK_BYTES = 1024
"""The largest chunk that may pass the parser, its head and end included."""

CONNECTION_ATTRIBUTES = ("_loop", "_parser", "_reading_paused")
"""What :class:`WatchedConnection` uses of its base, besides ``TCPConnector._factory``."""

BODY_ATTRIBUTES = (
    "_buffer",
    "_eof",
    "_eof_callbacks",
    "_exception",
    "_high_water",
    "_loop",
    "_protocol",
    "_size",
    "_waiter",
)
"""What :class:`Body` uses of its base, besides ``BaseProtocol._reading_paused``."""

REQUEST_PARAMETERS = ("headers", "loop", "session", "ssl")
"""The parameters of ``ClientRequest`` that are given without a session."""

PARSER_PARAMETERS = ("timer", "read_until_eof", "max_field_size")
"""The parameters of ``ResponseHandler.set_response_params`` that are given without a session."""

RESPONSE_PARAMETERS = (
    "writer",
    "continue100",
    "timer",
    "request_info",
    "traces",
    "loop",
    "session",
    "stream_writer",
)
"""The parameters of ``ClientResponse`` that are given without a session."""

_HEAD_END = b"\r\n\r\n"

_CHUNK_SIZES = {form % size: size for size in range(1, LONE_CHUNK_BYTES) for form in (b"%x", b"%X")}
"""The number at the head of an HTTP chunk, in both ways to write it, and what it means."""
_CHUNK_END = b"\r\n"

_PROBE = b"HTTP/1.1 100 \r\n\r\n"
"""A whole message, which a parser understands only if it has nothing left of another. It never has a body."""


class WatchedConnection(ResponseHandler):
    """A client connection on which the server speaks only when it is asked.

    aiohttp goes on parsing what arrives on an idle connection and hands it to the next request as its answer:
    ``data_received`` queues messages whether or not there is a request, and the pool looks at ``is_connected()`` alone
    (https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/connector.py, ``BaseConnector._get``). So while no
    request is under way, a stand-in for the parser closes the connection at the first byte. It costs nothing while an
    answer streams.
    """

    _parser: Any

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.used = False
        """A request has been served."""
        self.reused = False
        """A request had been served before the present one."""
        self.got_unsolicited_data = False
        self._answered = False
        self._sent_at: float | None = None
        self._next_parser: Any = None
        self._last_parser: Any = None
        self.between_chunks: ChunkedBody | None = None
        """The body of which a chunk has ended, if nothing has come since."""

    def data_received(self, data: bytes) -> None:
        """Give ``data`` to the parser; but a whole chunk, between two chunks, to the reader that waits for it.

        That is how a token comes, and the parser and what is around it are a tenth of the code that it needs.
        """
        body = self.between_chunks
        if body is not None and body.feed_chunk(data):
            return
        super().data_received(data)
        # The parser reports the end of a chunk and that of the next size line, but not that half of this line has come.
        if self.between_chunks is not None and data[-2:] != _CHUNK_END:
            self.between_chunks = None

    @property
    def should_close(self) -> bool:
        # With reading paused, an idle connection would not notice its end.
        return super().should_close or self._reading_paused or self._has_unsent_bytes()

    def close(self) -> None:
        """Close the connection. It is aborted if some of the request is unsent: the transport would wait for it."""
        if self._has_unsent_bytes():
            self.abort()
        else:
            super().close()

    def _has_unsent_bytes(self) -> bool:
        """Return whether the peer has answered, but has not taken all of the request.

        Before an answer, the bytes may be those of a TLS handshake.
        """
        return self._answered and self.transport is not None and self.transport.get_write_buffer_size() > 0

    def hold(self) -> None:
        """Close the connection if a byte arrives before :meth:`listen`."""
        self._next_parser, self._parser = self._parser, _IdleParser(self)
        self.reused = self.used
        self._answered, self._sent_at = False, None

    def listen(self) -> None:
        """Take what arrives from now on for the answer to the request that is about to be sent."""
        if self._has_unread_bytes():
            self._next_parser = None
            self.close()
        else:
            self._sent_at = self._loop.time()
            self._parser = _AwaitFirstByte(self)

    def begin_answer(self) -> Any:
        """Return the parser of the answer; called when its first byte has arrived."""
        self._answered = True
        self._parser, self._next_parser = self._next_parser, None
        return self._parser

    def rest(self) -> None:
        """End the request. Unless the connection is to be closed, expect nothing until :meth:`listen`."""
        self._next_parser = None  # a request that was cancelled before it was sent has not used it
        if not self.should_close:
            self.used = True
            self._last_parser, self._parser = self._parser, _IdleParser(self)
            self._loop.call_soon(self._close_if_unexpected_data)

    def is_usable(self) -> bool:
        """Return whether a kept connection may serve another request: nothing has been read since the last answer.

        :meth:`listen` looks for what was not read yet.
        """
        return not (self.should_close or self._has_remainder())

    def is_unprocessed(self) -> bool:
        """Return whether the server certainly has not worked on the request with which this connection broke."""
        if not self.reused or self._answered:
            return False
        return self._sent_at is None or self._loop.time() - self._sent_at < RACE_SECONDS

    def _close_if_unexpected_data(self) -> None:
        if self._has_remainder() or self.should_close:
            self.close()

    def _has_remainder(self) -> bool:
        """Return whether bytes came behind the end of the last answer, in its last packet."""
        parser, self._last_parser = self._last_parser, None
        if parser is None:
            return False
        try:
            messages, _, _ = parser.feed_data(_PROBE)
        except Exception:  # whatever the parser makes of those bytes and the probe together
            return True
        return [message.code for message, _ in messages] != [100]

    def _has_unread_bytes(self) -> bool:
        """Return whether the socket holds bytes, or an end, that the event loop has not read yet.

        On a new TLS connection they may be session tickets, which say nothing.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return True
        if not self.used and transport.get_extra_info("ssl_object") is not None:
            return False
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))


class _IdleParser:
    """A stand-in for a parser while nothing is expected."""

    def __init__(self, connection: WatchedConnection) -> None:
        self._connection = connection

    def feed_data(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        if data:
            self._connection.got_unsolicited_data = True
            self._connection.close()
        return (), False, b""

    def feed_eof(self) -> None:
        """Do nothing: an idle connection may end."""


class _AwaitFirstByte:
    """A stand-in for a parser until the first byte of an answer."""

    def __init__(self, connection: WatchedConnection) -> None:
        self._connection = connection

    def feed_data(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        """Have the answer parsed, its head before the rest: so its reader is a :class:`Body` when it gets the rest."""
        if not data:
            return (), False, b""
        parser = self._connection.begin_answer()
        # Where the head goes on in the next packet, the pieces do not matter.
        body_at = data.find(_HEAD_END) + len(_HEAD_END)
        messages, upgraded, tail = parser.feed_data(data[:body_at])
        rest = data[body_at:]
        for _, reader in messages:
            if not isinstance(reader, EmptyStreamReader):
                Body.of(reader)
        if upgraded or not rest:
            return messages, upgraded, tail + rest
        more, upgraded, tail = parser.feed_data(rest)
        return [*messages, *more], upgraded, tail

    def feed_eof(self) -> None:
        """Handle the end of the connection, which came without an answer."""


def watch_connections(connector: aiohttp.TCPConnector) -> bool:
    """Have ``connector`` make each :class:`WatchedConnection` that it opens. Return False if this aiohttp cannot."""
    loop = asyncio.get_running_loop()
    if not hasattr(connector, "_factory") or not _has(ResponseHandler(loop), CONNECTION_ATTRIBUTES):
        return False
    connector._factory = functools.partial(WatchedConnection, loop=loop)  # type: ignore[assignment]
    return True


def can_send_without_session() -> bool:
    """Return whether this aiohttp takes a request that its session did not make (:mod:`providers.pooled_client`)."""
    taken = (
        (aiohttp.ClientRequest.__init__, REQUEST_PARAMETERS),
        (ResponseHandler.set_response_params, PARSER_PARAMETERS),
        (aiohttp.ClientResponse.__init__, RESPONSE_PARAMETERS),
    )
    return all(inspect.signature(function).parameters.keys() >= {*names} for function, names in taken)


class Body(StreamReader):
    """A response's body for one reader, which takes what has arrived.

    aiohttp's own reader keeps the ends of HTTP chunks, and has the parser look for more after each read: a third of
    the byte code of a token that comes alone. The parser creates its reader itself
    (https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/_http_parser.pyx, ``_on_headers_complete``), so
    :meth:`of` changes the class of that one.
    """

    __slots__ = ()
    takes_chunks = False
    _waiter: asyncio.Future[bytes | None] | None  # type: ignore[assignment]

    @classmethod
    def of(cls, reader: StreamReader) -> Body | None:
        """Return ``reader`` itself, which is now a :class:`Body`. None if it cannot be one.

        It must not have been read from.

        aiohttp shares one reader between all responses without a body; each gets a body of its own at its end.
        """
        if isinstance(reader, EmptyStreamReader):
            loop = asyncio.get_running_loop()
            reader = StreamReader(BaseProtocol(loop), 0, loop=loop)
            reader.feed_eof()
        if isinstance(reader, Body):
            return reader
        if type(reader) is not StreamReader or not _can_become_body(BODY_ATTRIBUTES):
            return None
        reader.__class__ = cls
        assert isinstance(reader, Body)
        return reader

    @property
    def pieces(self) -> Sized:
        """aiohttp's own buffer, which fills and empties."""
        return self._buffer

    def take(self) -> bytes:
        """Return what has arrived, at most :data:`TAKE_BYTES`. :attr:`pieces` must not be empty."""
        pieces = self._buffer
        data = pieces.popleft()
        if pieces or len(data) > TAKE_BYTES:
            return self._take_some(data)
        self._size = 0
        if self._protocol._reading_paused:
            self._protocol.resume_reading()
        return data

    def _take_some(self, data: bytes) -> bytes:
        """Take all pieces, of which ``data`` is the first. Put back what is too much, cut so that each can be taken."""
        pieces = self._buffer
        if len(data) != TAKE_BYTES:
            pieces.appendleft(data)
            data = b"".join(pieces)
            pieces.clear()
        if len(data) > TAKE_BYTES:
            pieces.extend(data[begin : begin + TAKE_BYTES] for begin in range(TAKE_BYTES, len(data), TAKE_BYTES))
            data = data[:TAKE_BYTES]
        self._size = sum(map(len, pieces)) + PIECE_OVERHEAD_BYTES * len(pieces)
        if not pieces and self._protocol._reading_paused:
            self._protocol.resume_reading()
        return data

    def change(self) -> asyncio.Future[bytes | None] | None:
        """Return a future that is done at the next piece, the end or a failure; None after the end or a failure.

        For the one reader, when it has taken everything. Its result is the next piece, or None if that is to be taken.
        """
        if self._eof or self._exception is not None:
            return None
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def take_chunks(self) -> None:
        """Take whole chunks past the parser from now on, if the connection can give them."""
        connection = self._protocol
        if isinstance(connection, WatchedConnection) and connection.read_timeout is None:
            self.__class__ = ChunkedBody

    def put_back(self, change: asyncio.Future[bytes | None]) -> None:
        """Keep the result of ``change`` for the next read: the one that waited for it has been cancelled."""
        piece = change.result() if change.done() and not change.cancelled() else None
        if piece:
            self._buffer.appendleft(piece)

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        if not data:
            return False
        self._buffer.append(data)
        waiter = self._waiter
        if waiter is None:
            self._size += PIECE_OVERHEAD_BYTES + len(data)
            if self._size > self._high_water:
                self._protocol.pause_reading()
        else:  # a reader waits, and takes it in the next turn: it is not counted
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
        """Do nothing: the boundaries of HTTP chunks mean nothing."""

    def end_http_chunk_receiving(self) -> None:
        """Do nothing: the boundaries of HTTP chunks mean nothing."""


class ChunkedBody(Body):
    """The body of a :class:`WatchedConnection`'s response, which takes chunks that have passed the parser."""

    __slots__ = ()
    takes_chunks = True
    _protocol: WatchedConnection

    def feed_chunk(self, data: bytes) -> bool:
        """Take ``data`` if it is one whole chunk, and a reader waits for it. Return False, and take nothing, if not."""
        waiter = self._waiter
        if waiter is None or len(data) > LONE_CHUNK_BYTES:
            return False
        head, _, rest = data.partition(_CHUNK_END)
        piece = rest[:-2]
        if _CHUNK_SIZES.get(head) != len(piece) or rest[-2:] != _CHUNK_END:
            return False
        self._waiter = None
        try:
            waiter.set_result(piece)
        except asyncio.InvalidStateError:  # its read was cancelled
            self._buffer.append(piece)
        return True

    def begin_http_chunk_receiving(self) -> None:
        self._protocol.between_chunks = None

    def end_http_chunk_receiving(self) -> None:
        self._protocol.between_chunks = self


@functools.cache
def _can_become_body(attributes: tuple[str, ...]) -> bool:
    """Return whether a reader of this aiohttp has what a :class:`Body` uses of it. Readers are all alike."""
    loop = asyncio.get_running_loop()
    return _has(StreamReader(BaseProtocol(loop), 0, loop=loop), attributes)


def _has(owner: object, names: Iterable[str]) -> bool:
    return all(hasattr(owner, name) for name in names)
