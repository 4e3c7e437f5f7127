"""Connections to a provider that are kept for the next request, through a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.client import get_events, stream_url
from tests.support.server import ServerProcess
from tests.support.sse import DispatchedEvent, text_of
from tests.support.upstream import DONE, Exchange, Upstream, chunk

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
NOT_RETRIED: dict[str, Any] = {"retry": {"attempts": 1}}


def whole_answer(text: str) -> bytes:
    """Return an answer that leaves its connection open for the next request."""
    body = (chunk(text) + chunk(finish="stop") + DONE).encode()
    return HEAD + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


FOREIGN = whole_answer("of another user")
HALF = len(FOREIGN) // 2

Tail = Callable[[Exchange], Awaitable[None]]


def behind(data: bytes) -> Tail:
    """Send ``data`` in the packet of the answer."""

    async def tail(exchange: Exchange) -> None:
        await exchange.send(whole_answer("first") + data)

    return tail


def behind_the_end(data: bytes) -> Tail:
    """Send ``data`` with the last chunk of the answer, after its head has been read."""

    async def tail(exchange: Exchange) -> None:
        answer = whole_answer("first")
        await exchange.send(answer[:-5])
        await asyncio.sleep(0.1)
        await exchange.send(answer[-5:] + data)

    return tail


def later(data: bytes) -> Tail:
    """Send ``data`` once the connection is idle."""

    async def tail(exchange: Exchange) -> None:
        await exchange.send(whole_answer("first"))
        asyncio.get_running_loop().call_later(0.1, exchange.writer.write, data)

    return tail


async def longer_than_announced(exchange: Exchange) -> None:
    body = (chunk("first") + chunk(finish="stop") + DONE).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    await exchange.send(head.encode() + body[:-5])
    await asyncio.sleep(0.1)
    await exchange.send(body[-5:] + b"data: more\n\n")


UNASKED: dict[str, Tail] = {
    "a whole answer": later(FOREIGN),
    "half an answer": later(FOREIGN[:HALF]),
    "one byte": later(b"H"),
    "an empty line": later(b"\r\n"),
    "an interim answer": later(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a whole answer in the same packet": behind(FOREIGN),
    "half an answer in the same packet": behind(FOREIGN[:HALF]),
    "one byte in the same packet": behind(b"H"),
    "a whole answer behind the last chunk": behind_the_end(FOREIGN),
    "half an answer behind the last chunk": behind_the_end(FOREIGN[:HALF]),
    "a longer body than was announced": longer_than_announced,
    "an answer without a body behind the last chunk": behind_the_end(b"HTTP/1.1 204 No Content\r\n\r\n"),
}


async def ask(http: aiohttp.ClientSession, server: ServerProcess) -> list[DispatchedEvent]:
    return await get_events(http, stream_url(server.url))


@pytest.mark.parametrize("tail", UNASKED.values(), ids=UNASKED)
async def test_kept_connection_is_closed_when_bytes_arrive_that_no_request_asked_for(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, tail: Tail
) -> None:
    async def script(exchange: Exchange) -> None:
        exchange.keep_alive = True
        if len(upstream.exchanges) == 1:
            await tail(exchange)
        else:
            await exchange.send(whole_answer("second"))

    upstream = await start_upstream(script)
    server = await start_server({**openai_at(upstream), **NOT_RETRIED})
    assert text_of(await ask(http, server)) == "first"
    await upstream.all_closed()
    events = await ask(http, server)
    assert (text_of(events), events[-1].type) == ("second", "done")
    assert upstream.accepted == 2


async def test_switched_protocols_are_no_answer_and_their_connection_is_not_kept(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    async def script(exchange: Exchange) -> None:
        exchange.keep_alive = True
        if len(upstream.exchanges) == 1:
            await exchange.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + FOREIGN
            )
        else:
            await exchange.send(whole_answer("second"))

    upstream = await start_upstream(script)
    server = await start_server({**openai_at(upstream), **NOT_RETRIED})
    assert (await ask(http, server))[-1].json()["code"] == "upstream_error"
    assert text_of(await ask(http, server)) == "second"
    assert upstream.accepted == 2


async def test_kept_connection_serves_the_next_request_when_nothing_arrived(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    upstream = await start_upstream(_keeping)
    server = await start_server(openai_at(upstream))
    for _ in range(5):
        assert text_of(await ask(http, server)) == "first"
    assert upstream.accepted == 1


class Kept:
    """An upstream with connections that answer one request, and end in ``ending`` as the next one arrives."""

    def __init__(self, ending: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self.answered = 0
        self.ended = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self._ending = ending

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader)
        self.answered += 1
        await self.hold.wait()
        writer.write(whole_answer("fresh"))
        if await reader.read(1):
            self.ended += 1
            await self._ending(reader, writer)


async def _close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return, which closes the connection."""


async def _answer_one_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _read_request(reader)
    writer.write(b"H")


async def _think_and_die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close so late that it was no race with the request: the model may have been working on it."""
    await _read_request(reader)
    await asyncio.sleep(1.5)


async def _keep_three(http: aiohttp.ClientSession, server: ServerProcess, kept: Kept) -> None:
    kept.hold.clear()
    readers = [asyncio.ensure_future(ask(http, server)) for _ in range(3)]
    async with asyncio.timeout(60):
        while kept.answered < 3:
            await asyncio.sleep(0.01)
    kept.hold.set()
    for events in await asyncio.gather(*readers):
        assert text_of(events) == "fresh"


@pytest.mark.parametrize("attempts", [1, 3])
async def test_request_is_sent_again_at_once_when_its_kept_connection_was_dead(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, attempts: int
) -> None:
    kept = Kept(_close)
    upstream = await _start(start_upstream, kept)
    server = await start_server({**openai_at(upstream), "retry": {"attempts": attempts}})
    await _keep_three(http, server, kept)
    events = await ask(http, server)
    assert (text_of(events), events[-1].type) == ("fresh", "done")
    record = await server.record(events[0].json()["stream_id"])
    assert (record["attempts"], record.get("maybe_billed")) == (1, None)
    assert kept.ended == 1, "the other kept connections were tried too"


@pytest.mark.parametrize("ending", [_answer_one_byte, _think_and_die])
async def test_request_is_not_sent_again_when_it_may_have_been_processed(
    start_server: StartServer,
    start_upstream: StartUpstream,
    http: aiohttp.ClientSession,
    ending: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> None:
    kept = Kept(ending)
    upstream = await _start(start_upstream, kept)
    server = await start_server({**openai_at(upstream), **NOT_RETRIED})
    assert text_of(await ask(http, server)) == "fresh"
    events = await ask(http, server)
    assert events[-1].json()["code"] == "upstream_disconnected"
    assert upstream.accepted == 1


async def test_request_is_not_sent_again_when_its_connection_was_new(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    upstream = await start_upstream(_keeping)
    upstream.raw = raw
    server = await start_server({**openai_at(upstream), **NOT_RETRIED})
    events = await ask(http, server)
    assert events[-1].json()["code"] == "upstream_disconnected"
    assert upstream.accepted == 1


async def _keeping(exchange: Exchange) -> None:
    exchange.keep_alive = True
    await exchange.send(whole_answer("first"))


async def _start(start_upstream: StartUpstream, kept: Kept) -> Upstream:
    upstream: Upstream = await start_upstream(_keeping)
    upstream.raw = kept.serve
    return upstream


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
