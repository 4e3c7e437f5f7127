"""Replies of Redis are read as redis-py reads them, however they are cut."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from redis._parsers.base import BaseParser
from redis._parsers.resp2 import _AsyncRESP2Parser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from streamserver.redis._redis_py import RedisConnection, pool_of
from streamserver.redis.connection import ConnectionFactory, SharedConnection
from streamserver.redis.replies import ReplyParser
from streamserver.store.base import StoreUnavailable
from tests.support.redis import RedisProcess

REPLIES = (
    b"+OK\r\n",
    b":12\r\n:-3\r\n",
    b"$4\r\n12-0\r\n$0\r\n\r\n$-1\r\n",
    b"$6\r\na\r\nb\r\n\r\n",
    b"*0\r\n*-1\r\n",
    b"*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nr\r\n$2\r\n\r\n\r\n*1\r\n*0\r\n",
    b"*3\r\n:1\r\n-NOPERM no \xff permission\r\n*1\r\n$-1\r\n",
    b"-READONLY You can't write against a read only replica.\r\n-ERR wrong\r\n",
    b"*1\r\n*1\r\n*1\r\n+deep\r\n",
)
ALL = b"".join(REPLIES)


def comparable(reply: Any) -> Any:
    if isinstance(reply, list):
        return [comparable(each) for each in reply]
    return (type(reply), str(reply)) if isinstance(reply, RedisError) else reply


async def read_by_redis_py(data: bytes) -> list[Any]:
    raw = pool_of("redis://127.0.0.1:1/0").make_connection()  # type: ignore[no-untyped-call]
    raw._reader = asyncio.StreamReader()
    raw._reader.feed_data(data)
    raw._reader.feed_eof()
    parser = _AsyncRESP2Parser(65536)
    parser.on_connect(raw)  # type: ignore[no-untyped-call]
    replies = []
    while not raw._reader.at_eof():
        replies.append(comparable(await parser.read_response()))
    raw._reader = None
    return replies


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, len(ALL)])
async def test_replies_are_read_as_redis_py_reads_them_in_pieces_of_any_size(size: int) -> None:
    parser = ReplyParser(BaseParser.parse_error)
    pieces = [ALL[start : start + size] for start in range(0, len(ALL), size)]
    replies = [comparable(reply) for piece in pieces for reply in parser.feed(piece)]
    assert replies == await read_by_redis_py(ALL)


@pytest.mark.parametrize("data", [b"?1\r\n", b"HTTP/1.1 400 Bad Request\r\n"])
def test_bytes_that_are_no_reply_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidResponse):
        ReplyParser(ResponseError).feed(data)


@pytest.mark.parametrize("answer", [b"+OK\r\n", b"?\r\n", b"$x\r\n"])
async def test_a_lost_connection_fails_the_commands_that_wait(answer: bytes) -> None:
    """The server answers one of two commands, or nothing that makes sense, and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, family=socket.AF_INET) as server:
        connection = RedisConnection(pool_of(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"), lambda: None)
        await connection.open()
        with pytest.raises(RedisError):
            await connection.execute([("PING",), ("PING",)])
        with pytest.raises(RedisError):
            await connection.execute([("PING",)])
        await connection.close()


async def test_an_aborted_connection_fails_the_command_that_waits(redis: RedisProcess) -> None:
    connection = RedisConnection(pool_of(f"redis://127.0.0.1:{redis.port}/0"), lambda: None)
    await connection.open()
    waiting = asyncio.ensure_future(connection.execute([("BLPOP", "nothing", 0)]))
    await asyncio.sleep(0)
    connection.abort()
    with pytest.raises(RedisConnectionError):
        await waiting
    await connection.close()


async def test_redis_py_reads_where_its_stream_cannot_be_taken_over(
    redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the attribute that holds the stream had another name."""
    connection = RedisConnection(pool_of(f"redis://127.0.0.1:{redis.port}/0"), lambda: None)
    monkeypatch.setattr(connection, "_take_over", lambda transport: None)
    await connection.open()
    refusal, *replies = await connection.execute([("NONSENSE",), ("ECHO", "a"), ("ECHO", b"\r\n")])
    assert isinstance(refusal, ResponseError)
    assert replies == [b"a", b"\r\n"]
    await connection.send([("ECHO", 7)])
    assert await connection.read() == b"7"
    await connection.close()


async def test_commands_are_exchanged_where_redis_pys_stream_cannot_be_taken_over(
    redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisConnection, "_take_over", lambda connection, transport: None)
    factory, restarts = ConnectionFactory(redis.url), list[bool]()
    shared = SharedConnection(factory, restarts.append)
    running = asyncio.ensure_future(shared.run())
    async with asyncio.timeout(20):
        await shared.wait_connected()
        first, second = shared.submit(("ECHO", 1), ("NONSENSE",)), shared.submit(("ECHO", 2))
        echo, refusal = await first
        assert echo == b"1" and isinstance(refusal, ResponseError) and await second == [b"2"]
        factory.drop_all()
        with pytest.raises(StoreUnavailable):
            await shared.submit(("ECHO", 3))
        await shared.wait_connected()
        waiting = shared.submit(("BLPOP", "nothing", 0))
        await asyncio.sleep(0)
        factory.drop_all()
        with pytest.raises(StoreUnavailable):
            await waiting
        await shared.wait_connected()
        assert await shared.submit(("ECHO", 4)) == [b"4"]
    assert restarts == [False, False, False]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
