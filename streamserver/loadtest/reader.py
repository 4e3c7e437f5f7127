"""One reader of a load test: asks for a stream and behaves as its plan says.

It does not use :mod:`streamserver.client`, which repairs what a load test has to see.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from streamserver.loadtest.check import Check, NativeCheck
from streamserver.loadtest.plan import GRACE_SECONDS, Behaviour, Plan
from streamserver.loadtest.result import LoadTestResult
from streamserver.loadtest.wires import LOAD_WIRES

STREAM_SECONDS = 180.0
"""A stream without an ending for so long has broken its promise; the server's own deadlines are shorter."""
SLOW_BYTES = 1024
SLOW_SECONDS = 0.05
"""What a slow reader takes at a time, and its rest after that."""
READER_RECONNECT_SECONDS = 0.05


class _NoAnswer(Exception):
    """A stream that did not begin. The message is the outcome."""


class Sessions:
    """HTTP clients: one as fast as it can be, and one with small buffers."""

    def __init__(self, fast: aiohttp.ClientSession, slow: aiohttp.ClientSession) -> None:
        self.fast = fast
        self.slow = slow


@asynccontextmanager
async def open_sessions() -> AsyncIterator[Sessions]:
    """Yield clients without limits of their own, and close them at the end."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    options: dict[str, Any] = {"timeout": timeout, "cookie_jar": aiohttp.DummyCookieJar(), "trust_env": False}
    small = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=_small_socket)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), **options) as fast,
        aiohttp.ClientSession(connector=small, read_bufsize=SLOW_BYTES, **options) as slow,
    ):
        yield Sessions(fast, slow)


def _small_socket(address: Any) -> socket.socket:
    sock = socket.socket(address[0], address[1], address[2])
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return sock


class Target:
    """The request of a load test, and its address."""

    def __init__(self, plan: Plan, url: str, api_key: str | None) -> None:
        self._wire = LOAD_WIRES[plan.api]
        self.base = url.rstrip("/")
        self.url = self.base + self._wire.path
        self.headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self.expected = plan.prompt() if plan.echoes else None
        self._plan = plan

    def body(self, behaviour: Behaviour) -> dict[str, Any]:
        """Return the request of one stream."""
        plan = self._plan
        if plan.api != "native":
            return self._wire.body(plan.prompt(), plan.model or plan.provider or "default")
        body = self._wire.body(plan.prompt(), plan.model or "")
        if plan.provider is not None:
            body["provider"] = plan.provider
        if behaviour.cut_after:
            body["grace"] = GRACE_SECONDS
        return body

    def check(self) -> Check:
        return self._wire.check(self.expected)


class LoadReader:
    """One stream, from its request to its ending."""

    def __init__(self, target: Target, sessions: Sessions, result: LoadTestResult, behaviour: Behaviour) -> None:
        self._target = target
        self._session = sessions.slow if behaviour.slow else sessions.fast
        self._result = result
        self._behaviour = behaviour
        self._check = target.check()
        self._stopped = False
        self._asked = 0.0
        self._last_token: float | None = None

    async def run(self, due: float) -> None:
        """Read the stream that was to start at ``due`` (``time.perf_counter()``); the result is told how it ended."""
        self._asked = due
        self._result.start()
        outcome = "interrupted"
        try:
            outcome = await self._outcome()
        finally:
            self._result.end(outcome, self._check)

    async def _outcome(self) -> str:
        check = self._check
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                left = await self._read_all()
        except TimeoutError:
            check.broken.append(f"no ending within {STREAM_SECONDS:.0f} s")
            return "unended"
        except _NoAnswer as error:
            return str(error)
        if left:
            return "left"
        check.end()
        if check.ending is None:
            return "truncated"
        if check.ending == "done":
            return "done"
        return "stopped" if self._stopped and check.ending == "cancelled" else f"error {check.ending}"

    async def _read_all(self) -> bool:
        """Read over as many connections as the behaviour says; True if the reader left before the ending."""
        behaviour = self._behaviour
        if behaviour.leave_after is not None:
            return not await self._connection({}, behaviour.leave_after)
        for cut in behaviour.cut_after:
            if await self._connection(self._position(), cut):
                return False
            self._result.cuts += 1
            self._last_token = None
            await asyncio.sleep(READER_RECONNECT_SECONDS)
        await self._connection(self._position(), None)
        return False

    def _position(self) -> dict[str, str]:
        check = self._check
        if not isinstance(check, NativeCheck) or not check.last_event_id:
            return {}
        check.reconnect()
        return {"Last-Event-ID": check.last_event_id}

    async def _connection(self, headers: Mapping[str, str], until: int | None) -> bool:
        """Read one response, until there are ``until`` tokens; True if it came to its end."""
        check = self._check
        try:
            async with self._session.post(
                self._target.url,
                json=self._target.body(self._behaviour),
                headers={**self._target.headers, **headers},
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    await self._refusal(response, resuming=bool(headers))
                while data := await self._read(response.content):
                    self._note(check.feed(data))
                    if until is not None and check.tokens >= until and check.ending is None:
                        response.close()
                        return False
                    await self._stop_if_due()
        except aiohttp.ClientError as error:
            if not check.tokens and not headers and not isinstance(error, aiohttp.ClientPayloadError):
                raise _NoAnswer("no connection") from None
            check.broken.append(f"truncated: {type(error).__name__}")
        return True

    async def _refusal(self, response: aiohttp.ClientResponse, *, resuming: bool) -> None:
        """Take an answer that is no stream. A 204 to a reader that comes back says that it has seen the ending."""
        if resuming:
            self._check.broken.append(f"coming back was answered with {response.status}")
        raise _NoAnswer(f"no stream: {response.status}")

    async def _read(self, content: aiohttp.StreamReader) -> bytes:
        if not self._behaviour.slow:
            return await content.readany()
        await asyncio.sleep(SLOW_SECONDS)
        return await content.read(SLOW_BYTES)

    def _note(self, tokens: int) -> None:
        """Count tokens that have come together, and the time since the ones before."""
        if not tokens:
            return
        now = time.perf_counter()
        result, last = self._result, self._last_token
        result.tokens += tokens
        first = self._check.tokens == tokens
        if first:
            result.ttft.add((now - self._asked) * 1000)
        elif last is not None and not self._behaviour.slow:
            result.gaps.add((now - last) * 1000)
        if tokens > 1 and not self._behaviour.slow and last is not None:
            result.gaps.add(0.0, tokens - 1)
        self._last_token = now

    async def _stop_if_due(self) -> None:
        after, check = self._behaviour.stop_after, self._check
        if after is None or self._stopped or check.tokens < after or check.ending is not None:
            return
        assert isinstance(check, NativeCheck)
        self._stopped = True
        url = f"{self._target.base}/api/chat/streams/{check.stream_id}"
        async with self._session.delete(url, headers=self._target.headers) as response:
            if response.status != 204:
                check.broken.append(f"DELETE was answered with {response.status}")
