"""The other end of a connection to Redis, without a socket: the test says which bytes come, and in which pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from streamserver.redis._redis_py import RedisConnection, pool_of


class FakeRedis(asyncio.Transport):
    """The transport of a connection. Nothing is answered but what the test has it answer."""

    def __init__(self, on_not_primary: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.opener = asyncio.Protocol()
        self._protocol: asyncio.BaseProtocol = self.opener
        self.connection = RedisConnection(pool_of("redis://127.0.0.1:1/0"), on_not_primary)
        self.connection._take_over(self)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def answer(self, *pieces: bytes) -> None:
        """Have the bytes of replies arrive, each piece in a read of its own."""
        assert isinstance(self._protocol, asyncio.Protocol)
        for piece in pieces:
            self._protocol.data_received(piece)

    def lose(self) -> None:
        """Lose the connection."""
        assert isinstance(self._protocol, asyncio.Protocol)
        self._protocol.eof_received()
        self._protocol.connection_lost(None)


def cuts(data: bytes) -> Iterable[tuple[bytes, ...]]:
    """Return ``data`` in one piece, in two that are cut at each byte, and byte by byte."""
    yield (data,)
    for position in range(1, len(data)):
        yield data[:position], data[position:]
    yield tuple(data[position : position + 1] for position in range(len(data)))
