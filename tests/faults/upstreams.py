"""What an upstream of the matrix does, as values: an answer, a stream, and the ways a stream ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from tests.faults.case import MARK
from tests.support.upstream import Exchange, RawScript, Script

Ending: TypeAlias = Callable[[Exchange], Awaitable[None]]
AnswerBody: TypeAlias = str | bytes | Mapping[str, Any] | list[Any]

SSE = "text/event-stream"
HTML = "text/html; charset=utf-8"


async def hold(exchange: Exchange) -> None:
    """Keep the connection open and say nothing more: it is the server's to close."""
    await exchange.closed.wait()


async def whole(exchange: Exchange) -> None:
    """Send the proper end of a chunked body."""
    await exchange.send("0\r\n\r\n")


async def cut(exchange: Exchange) -> None:
    """Close the connection in the middle of a chunked body (FIN)."""


async def reset(exchange: Exchange) -> None:
    """Reset the connection (RST)."""
    exchange.reset()


def answers(status: int, body: AnswerBody = b"", content_type: str = "application/json", **headers: str) -> Script:
    """Return a script that sends a whole answer, and the end of its connection."""
    data = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", "Connection: close"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    async def script(exchange: Exchange) -> None:
        await exchange.send("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    return script


def streams(
    *parts: str | bytes, then: Ending = whole, by: int | None = None, content_type: str = SSE, **headers: str
) -> Script:
    """Return a script of a chunked 200: each part by itself (in slices of ``by`` bytes), then the end ``then``."""
    return _streams(parts, then, by, content_type, headers)


def streams_many(parts: Callable[[], Iterable[bytes]], then: Ending = hold) -> Script:
    """Return a script that sends a stream too large to be written down."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(_head(SSE, {}))
        for part in parts():
            await exchange.send(_chunk(part))
        await then(exchange)

    return script


def _streams(
    parts: Iterable[str | bytes], then: Ending, by: int | None, content_type: str, headers: Mapping[str, str]
) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.send(_head(content_type, headers))
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            step = by or len(data)
            for start in range(0, len(data), step):
                await exchange.send(_chunk(data[start : start + step]))
                await asyncio.sleep(0)
        await then(exchange)

    return script


def closes_with(*parts: str, then: Ending = cut) -> Script:
    """Return a script that sends a 200 with a body that ends with its connection, as HTTP/1.0 has it."""

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        for part in parts:
            await exchange.send(part)
        await then(exchange)

    return script


def sends(data: str | bytes, then: Ending = hold) -> Script:
    """Return a script that sends bytes that need not be HTTP."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(data)
        await then(exchange)

    return script


def silent() -> Script:
    """Return a script that reads the request, and does nothing more."""
    return hold


def breaks_off() -> Script:
    """Return a script that reads the request, and resets the connection."""
    return reset


def leaves() -> Script:
    """Return a script that reads the request, and closes the connection."""
    return cut


async def unused(exchange: Exchange) -> None:
    raise AssertionError("nothing is to be sent")


def connection(data: bytes, stay: bool = False) -> RawScript:
    """Return a script of ``data`` without TLS once the other side has said something; then the end, or silence."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(data)
        while stay and await reader.read(65536):
            pass

    return script


def said(kind: str | None, message: str, code: Any = None, param: str | None = None, **more: Any) -> dict[str, Any]:
    """Return OpenAI's error object; the marked word is in every message."""
    return {"error": {"message": f"{message} {MARK}", "type": kind, "param": param, "code": code, **more}}


def _head(content_type: str, headers: Mapping[str, str]) -> str:
    lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines) + "\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
