"""What the transport makes of broken connections and malformed responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.connector import Connection

from providers import _aiohttp
from providers.errors import ProviderError, UpstreamDisconnected, UpstreamError
from providers.transport import AiohttpTransport, HttpRequest, HttpResponse
from tests.conftest import StartUpstream
from tests.faults.upstreams import Ending, cut, reset
from tests.support.upstream import Exchange, Script, Upstream

HEAD = "HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + "Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["private", "documented"])
async def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AiohttpTransport]:
    """Return the transport, once as it is and once as if aiohttp had none of the private parts that it uses."""
    if request.param == "documented":
        monkeypatch.setattr(_aiohttp, "BODY_ATTRIBUTES", ("_gone",))
        monkeypatch.setattr(_aiohttp, "CONNECTION_ATTRIBUTES", ("_gone",))
        monkeypatch.setattr(_aiohttp, "REQUEST_PARAMETERS", ("gone",))
    transport = AiohttpTransport()
    yield transport
    await transport.aclose()


PRIVATE_ONLY = pytest.mark.parametrize("transport", ["private"], indirect=True)


class Told:
    """An upstream that goes on when a test says so."""

    def __init__(self, head: str, *parts: bytes, then: Ending) -> None:
        self.go = asyncio.Event()
        self._head, self._parts, self._then = head, parts, then

    async def script(self, exchange: Exchange) -> None:
        await exchange.send(self._head)
        for part in self._parts:
            await self.go.wait()
            self.go.clear()
            await exchange.send(part)
        await self._then(exchange)


async def _ask(transport: AiohttpTransport, upstream: Upstream) -> HttpResponse:
    return await transport.send(HttpRequest(upstream.url, {}, b"{}"))


async def _gone(upstream: Upstream) -> None:
    """Wait until this side has noticed the break without a reader."""
    await upstream.all_closed()
    for _ in range(50):
        await asyncio.sleep(0)


@PRIVATE_ONLY
@pytest.mark.parametrize("ending", [cut, reset])
@pytest.mark.parametrize("head", [CHUNKED, HEAD + "Content-Length: 99\r\n\r\n"], ids=["chunked", "length"])
async def test_body_is_read_up_to_a_break_when_its_reader_is_late(
    transport: AiohttpTransport, start_upstream: StartUpstream, ending: Ending, head: str
) -> None:
    told = Told(head, b"5\r\nhello\r\n", then=ending)
    upstream = await start_upstream(told.script)
    response = await _ask(transport, upstream)
    told.go.set()
    await _gone(upstream)
    assert b"hello" in await response.read()
    with pytest.raises(UpstreamDisconnected):
        await response.read()
    response.close()


@pytest.mark.parametrize("late", [True, False], ids=["late", "waiting"])
async def test_body_fails_when_its_chunks_are_malformed(
    transport: AiohttpTransport, start_upstream: StartUpstream, late: bool
) -> None:
    async def hold(exchange: Exchange) -> None:
        await exchange.closed.wait()

    told = Told(CHUNKED, b"5\r\nhello\r\n", b"zz\r\n", then=hold)
    upstream = await start_upstream(told.script)
    response = await _ask(transport, upstream)
    told.go.set()
    assert await response.read() == b"hello"
    if late:
        told.go.set()
        await _gone(upstream)
        with pytest.raises(UpstreamError):
            await response.read()
    else:
        asyncio.get_running_loop().call_soon(told.go.set)
        with pytest.raises(UpstreamError):
            await asyncio.wait_for(response.read(), 60)
    response.close()


async def test_body_fails_when_it_ends_with_the_connection_and_that_is_reset(
    transport: AiohttpTransport, start_upstream: StartUpstream
) -> None:
    told = Told(HEAD + "\r\n", b"hello", then=reset)
    upstream = await start_upstream(told.script)
    response = await _ask(transport, upstream)
    told.go.set()
    assert await response.read() == b"hello"
    with pytest.raises(UpstreamDisconnected):
        await response.read()
    response.close()


@PRIVATE_ONLY
async def test_connection_serves_many_requests(transport: AiohttpTransport, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream(_keeping(HEAD + "Content-Length: 2\r\n\r\n{}"))
    for _ in range(20):
        response = await _ask(transport, upstream)
        while await response.read():
            pass
        response.finish()
    assert upstream.accepted == 1


@PRIVATE_ONLY
async def test_connection_is_closed_when_bytes_arrive_before_the_request_is_sent(
    transport: AiohttpTransport, start_upstream: StartUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = aiohttp.ClientRequest.send

    async def send_late(request: aiohttp.ClientRequest, conn: Connection) -> aiohttp.ClientResponse:
        assert conn.protocol is not None
        async with asyncio.timeout(60):
            while conn.protocol.is_connected():
                await asyncio.sleep(0)
        return await send(request, conn)

    async def speak_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((HEAD + "Content-Length: 2\r\n\r\n{}").encode())
        await reader.read()

    monkeypatch.setattr(aiohttp.ClientRequest, "send", send_late)
    upstream = await start_upstream(_keeping(""))
    upstream.raw = speak_first
    with pytest.raises(UpstreamError) as failure:
        await _ask(transport, upstream)
    assert failure.value.detail.reason == "unasked_answer" and not failure.value.sent
    assert upstream.accepted == 1


@pytest.mark.parametrize("url", ["http://", "http://:80/", "http://a..b/", "http://127.0.0.1:99999/", "not a url"])
async def test_request_fails_when_its_address_is_invalid(transport: AiohttpTransport, url: str) -> None:
    with pytest.raises(ProviderError) as failure:
        await transport.send(HttpRequest(url, {}, b"{}"))
    assert failure.value.code == "upstream_unavailable" and not failure.value.sent


def _keeping(data: str) -> Script:
    async def script(exchange: Exchange) -> None:
        exchange.keep_alive = True
        await exchange.send(data)

    return script
