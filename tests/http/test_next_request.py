"""The connection's next request, which may come as soon as a client has the end of a streamed answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, web
from aiohttp.abc import AbstractStreamWriter

from streamserver.http.apis.native import handlers
from streamserver.http.context import RequestContext
from streamserver.http.responses import respond
from streamserver.http.responses.sse_response import SSEResponse
from tests.support.application import running_app

BODY = json.dumps({"prompt": "x" * 700_000}).encode()
"""More than aiohttp takes before it pauses reading."""
CONFIG: dict[str, Any] = {"provider": {"default": "echo"}, "providers": {"echo": {"kind": "echo", "delay_ms": 5}}}


KEY = {"Idempotency-Key": "a-key-of-this-test"}


def receive_behind(transport: asyncio.BaseTransport) -> None:
    """Have a large request arrive on a connection now."""
    assert isinstance(transport, asyncio.Transport)
    protocol = transport.get_protocol()
    assert isinstance(protocol, asyncio.Protocol)
    head = f"POST /api/chat/stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n"
    protocol.data_received(f"{head}Content-Type: application/json\r\n\r\n".encode() + BODY)


prepare = SSEResponse.prepare


async def receive_and_prepare(response: SSEResponse, request: web.BaseRequest) -> AbstractStreamWriter | None:
    assert request.transport is not None
    receive_behind(request.transport)
    return await prepare(response, request)


async def test_large_request_is_answered_that_comes_before_the_handler_of_a_stream_has_returned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end of the body leaves with the terminal event. What comes behind it belongs to no stream."""
    write_last = SSEResponse.write_last

    def write_and_receive(response: SSEResponse, data: bytes) -> None:
        write_last(response, data)
        assert response._transport is not None
        receive_behind(response._transport)

    monkeypatch.setattr(SSEResponse, "write_last", write_and_receive)
    async with running_app(CONFIG) as (_, url), asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(b"GET /api/chat/stream?prompt=hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream = await reader.readuntil(b"0\r\n\r\n")
        assert b"event: done\n" in stream
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 422 "), "the prompt is too long"
        writer.close()


NATIVE = {"prompt": "hello"}
CHAT = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/chat/stream", {"prompt": "hello"}), ("/v1/chat/completions", CHAT)],
    ids=["native", "chat"],
)
async def test_request_with_a_large_one_behind_it_is_refused_in_its_form(
    monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    """A connection that is not read from would not show a client disconnect: no stream begins on it. With its key it is
    found on another."""
    with monkeypatch.context() as context:
        context.setattr(SSEResponse, "prepare", receive_and_prepare)
        async with running_app(CONFIG) as (_, url), ClientSession() as session, asyncio.timeout(60):
            async with session.post(url + path, json=body, headers=KEY) as response:
                refusal = await response.json(content_type=None)
                assert (response.status, response.headers["Connection"]) == (400, "close")
            assert "behind this request" in (refusal["detail"] if "detail" in refusal else refusal["error"]["message"])
            context.undo()
            async with session.post(url + path, json=body, headers=KEY) as response:
                assert response.status == 200 and b"hello" in await response.read()


async def test_reader_with_a_large_request_behind_its_own_is_refused_and_the_stream_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was never a reader: a stream that ends when its last reader leaves still waits for its first."""

    async def receive_and_respond(context: RequestContext, *rest: Any) -> web.StreamResponse:
        assert context.http.transport is not None
        receive_behind(context.http.transport)
        return await respond.respond_from(context, *rest)

    async with running_app(CONFIG) as (_, url), ClientSession() as session, asyncio.timeout(60):
        async with session.post(f"{url}/api/chat/streams", json={"prompt": "hello there"}) as response:
            address = url + response.headers["Location"]
        with monkeypatch.context() as patch:
            patch.setattr(handlers, "respond_from", receive_and_respond)
            async with session.get(address) as response:
                assert response.status == 400
        async with session.get(address) as response:
            events = await response.text()
    assert "event: done" in events
