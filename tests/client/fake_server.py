"""A server that speaks the native wire as it is told, request by request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

STREAM_ID = "stream-1"
PING = b"event: ping\ndata: {}\n\n"


def block(number: int | str, data: str, event: str | None = None, *, stream_id: str = STREAM_ID) -> bytes:
    """Return one event as bytes."""
    lines = "\ndata: ".join(data.split("\n"))
    return f"{f'event: {event}{chr(10)}' if event else ''}id: {stream_id}:{number}\ndata: {lines}\n\n".encode()


def start(keepalive_seconds: float = 15) -> bytes:
    fields = {"stream_id": STREAM_ID, "request_id": "r", "provider": "p", "model": "m"}
    return block(0, json.dumps({**fields, "keepalive_seconds": keepalive_seconds}), "start")


def done(number: int) -> bytes:
    fields: dict[str, Any] = {"finish_reason": "stop", "provider": "p", "model": "m", "usage": None}
    return block(number, json.dumps({**fields, "ttft_ms": 1, "duration_ms": 2}), "done")


def failed(number: int | str, code: str) -> bytes:
    fields = {"code": code, "message": "It failed.", "retryable": False, "retry_after": None}
    return block(number, json.dumps({**fields, "request_id": "r", "usage": None}), "error")


@dataclass(frozen=True)
class Reply:
    """An answer to one request: ``parts`` are bytes, or seconds of silence. Then it ends, is ``cut``, or ``hangs``."""

    parts: Sequence[bytes | float] = ()
    status: int = 200
    content_type: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hangs: bool = False


def problem(status: int, code: str, **headers: str) -> Reply:
    body = json.dumps({"code": code, "detail": "No.", "field": "prompt"}).encode()
    return Reply([body], status, "application/problem+json", headers)


DELETED = Reply(status=204)
CUT = Reply(cut=True)


class FakeServer:
    """A server with ``replies`` given in turn. ``requests`` are those that came; a DELETE takes from ``deletions``."""

    def __init__(self, replies: Sequence[Reply], deletions: Sequence[Reply] = ()) -> None:
        self.replies = list(replies)
        self.deletions = list(deletions)
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.times: list[float] = []
        self.url = ""

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def header(self, name: str) -> list[str | None]:
        """Return the header of each request."""
        return [request.headers.get(name) for request in self.requests]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        self.times.append(asyncio.get_running_loop().time())
        replies = self.deletions if request.method == "DELETE" else self.replies
        reply = replies.pop(0) if replies else CUT
        if reply.cut and not reply.parts and request.transport is not None:
            request.transport.abort()
        headers = {**reply.headers, "Content-Type": reply.content_type}
        response = web.StreamResponse(status=reply.status, headers=headers)
        await response.prepare(request)
        for part in reply.parts:
            if isinstance(part, bytes):
                await response.write(part)
            else:
                await asyncio.sleep(part)
        if reply.hangs:
            await asyncio.get_running_loop().create_future()
        if reply.cut and request.transport is not None:
            await asyncio.sleep(0.05)  # what was written is on its way
            request.transport.abort()
        return response


@asynccontextmanager
async def running_fake_server(replies: Sequence[Reply], deletions: Sequence[Reply] = ()) -> AsyncIterator[FakeServer]:
    """Run a fake server on a free port of the loopback."""
    server = FakeServer(replies, deletions)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
