"""A cheap server that speaks OpenAI's chat completions: one write per token, and next to no CPU.

``python -m benchmarks.upstream`` prints its port. Asking for the model of an :class:`BenchAnswer` gets that answer.
``GET /closes`` gives, and forgets, the times (``time.monotonic()``) at which connections were closed before
their answer was over, by the number behind the ``#`` in the prompt.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import time
from functools import lru_cache
from typing import cast

from benchmarks.spec import MARK, BenchAnswer, answer_in

_PROMPT_NUMBER = re.compile(rb"#(\d+)")
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_CHUNK = (
    '{"id":"chatcmpl-benchmark","object":"chat.completion.chunk","created":1700000000,"model":"bench",'
    '"service_tier":"default","system_fingerprint":"fp_0000000000",'
    '"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}],"usage":null}'
)
_USAGE = (
    '{"id":"chatcmpl-benchmark","object":"chat.completion.chunk","created":1700000000,"model":"bench",'
    '"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":%d,"total_tokens":%d}}'
)
HEAD_GAP_SECONDS = 0.02


def _event(data: str) -> bytes:
    """Return one event as one HTTP chunk."""
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(event), event)


_START = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + _event(_CHUNK % ('{"role":"assistant","content":""}', "null"))
)


@lru_cache
def _token(size: int) -> bytes:
    return _event(_CHUNK % (json.dumps({"content": " " + "w" * (size - 2) + MARK.decode()}), "null"))


@lru_cache
def _end(tokens: int) -> bytes:
    stop = _event(_CHUNK % ("{}", '"stop"'))
    return stop + _event(_USAGE % (tokens, tokens + 7)) + _event("[DONE]") + b"0\r\n\r\n"


class UpstreamConnection(asyncio.Protocol):
    """A connection."""

    closes: dict[int, float]
    open = 0

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._answer: BenchAnswer | None = None
        self._number = -1
        self._sent = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._writable = True
        self._token = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        UpstreamConnection.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        UpstreamConnection.open -= 1
        self._note_close()

    def eof_received(self) -> None:
        self._note_close()

    def _note_close(self) -> None:
        if self._answer is not None:
            UpstreamConnection.closes[self._number] = time.monotonic()
        self._answer = None
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._answer is not None and self._timer is None:
            self._loop.call_soon(self._send)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = _LENGTH.search(head)
        if length is not None and len(body) < int(length[1]):
            return
        self._buffer = b""
        if head.startswith(b"GET "):
            self._report()
            return
        answer = answer_in(body)
        if answer is None:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        number = _PROMPT_NUMBER.search(body)
        self._number = int(number[1]) if number else -1
        self._begin(answer)

    def _begin(self, answer: BenchAnswer) -> None:
        self._answer = answer
        self._sent = 0
        self._token = _token(answer.token_bytes)
        self._due = self._loop.time()
        self._transport.write(_START)
        self._send()

    def _send(self) -> None:
        """Send the tokens that are due, each with a write of its own."""
        self._timer = None
        write, token = self._transport.write, self._token
        while (answer := self._answer) is not None and self._writable:
            if self._sent == answer.tokens:
                self._answer = None
                write(_end(answer.tokens))
                return
            write(token)
            self._sent += 1
            gap = HEAD_GAP_SECONDS if self._sent < answer.head else answer.gap_us / 1e6
            if gap and self._sent < answer.tokens:
                self._due += gap
                self._timer = self._loop.call_at(self._due, self._send)
                return

    def _report(self) -> None:
        body = json.dumps({"open": UpstreamConnection.open - 1, "closes": UpstreamConnection.closes}).encode()
        UpstreamConnection.closes = {}
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def main() -> None:
    """Serve until the process is ended."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    UpstreamConnection.closes = {}
    # asyncio's own loop: uvloop would gather the writes of one turn into one.
    server = await asyncio.get_running_loop().create_server(UpstreamConnection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
