"""The server that is asked, and how."""

from __future__ import annotations

import asyncio
import math
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from streamserver.client.answer import Answer, Status
from streamserver.client.errors import require
from streamserver.client.events import StreamEvent
from streamserver.client.reconnection import DEFAULT_KEEPALIVE_SECONDS
from streamserver.client.request import StreamRequest

_API_PATH = re.compile(r"/(api/(chat|providers|ai)|v1|openapi\.json|docs|client\.js)(/.*)?$")
_VISIBLE = re.compile(r"[!-~]+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*")
_STREAM_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Client:
    """A streamserver at ``url``, its root or any address of its API; ``key`` is an API key of it.

    ``give_up_after`` is for how many seconds the server may be out of reach. A ``session`` that is given stays open,
    and should have no timeouts of its own.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        give_up_after: float = 60.0,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        require(key is None or _VISIBLE.fullmatch(key), "key", "is not visible ASCII characters")
        require(0 < give_up_after < math.inf, "give_up_after", "is not a number of seconds above 0")
        valid = all(_HEADER.fullmatch(f"{name}:{value}") for name, value in (headers or {}).items())
        require(valid, "headers", "are no HTTP headers")
        self.url = _root_of(url)
        self._headers = dict(headers or {})
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._give_up_after = give_up_after
        self._session = session
        self._owns_session = session is None

    def stream(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        idempotency_key: str | None = None,
        on_status: Callable[[Status], None] | None = None,
        **fields: Any,
    ) -> Answer:
        """Return the answer to ``prompt`` or ``messages``; reading it starts the generation.

        ``fields`` are those of the server's API: ``system``, ``provider``, ``model``, ``max_tokens``,
        ``temperature``, ``tools``, ``tool_choice`` and ``grace``; None counts as absent.
        Raises :class:`StreamError` for a wrong argument.
        """
        require((prompt is None) != (messages is None), "prompt", "is missing, or given beside messages")
        require(prompt is None or (isinstance(prompt, str) and prompt.strip()), "prompt", "is no text, or empty")
        require(messages is None or (not isinstance(messages, str) and messages), "messages", "is no list, or empty")
        key = secrets.token_urlsafe(18) if idempotency_key is None else idempotency_key
        require(
            _VISIBLE.fullmatch(key) and 8 <= len(key) <= 128, "idempotency_key", "is not 8 to 128 visible characters"
        )
        given = {"prompt": prompt, "messages": messages, **fields}
        try:
            body = msgspec.json.encode({name: value for name, value in given.items() if value is not None})
        except (TypeError, ValueError, OverflowError):
            require(False, "body", "cannot be written as JSON")
        return Answer(self._request({"Idempotency-Key": key}, body), on_status=on_status)

    def resume(
        self,
        stream_id: str,
        *,
        after: int | None = None,
        keepalive_seconds: float = DEFAULT_KEEPALIVE_SECONDS,
        on_status: Callable[[Status], None] | None = None,
    ) -> Answer:
        """Return the answer of a stream: from its start, or what follows the event number ``after``.

        ``keepalive_seconds`` is what the start event said, if that is not read again: it tells how soon a silent
        connection is known to be dead.
        """
        require(0 < keepalive_seconds < math.inf, "keepalive_seconds", "is not a number of seconds above 0")
        valid = isinstance(stream_id, str) and _STREAM_ID.fullmatch(stream_id)
        require(valid, "stream_id", "is not a stream's id: 1 to 128 letters, digits, - and _")
        require(after is None or (isinstance(after, int) and after >= 0), "after", "is not a position: a number from 0")
        first = 0 if after is None else after + 1
        return Answer(
            self._request({}, b""),
            stream_id=stream_id,
            first=first,
            keepalive_seconds=keepalive_seconds,
            on_status=on_status,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    def _request(self, headers: Mapping[str, str], body: bytes) -> StreamRequest:
        return StreamRequest(self._open_session, self.url, {**self._headers, **headers}, body, self._give_up_after)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # One connection is held for as long as an answer takes; their number is the caller's concern.
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return self._session

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def read(url: str, prompt: str, *, key: str | None = None, **fields: Any) -> Iterator[StreamEvent]:
    """Read an answer without asyncio: the blocking form of :meth:`Client.stream`."""
    with asyncio.Runner() as runner:
        client = Client(url, key=key)
        answer = client.stream(prompt, **fields)
        events = aiter(answer)

        async def next_event() -> StreamEvent | None:
            return await anext(events, None)

        try:
            while (event := runner.run(next_event())) is not None:
                yield event
        finally:
            runner.run(answer.aclose())
            runner.run(client.aclose())


def _root_of(url: str) -> str:
    try:
        parsed = URL(url)
    except (TypeError, ValueError):
        require(False, "url", f"is not a URL: {url}")
    require(parsed.scheme in ("http", "https") and parsed.host, "url", f"is not an http or https URL: {url}")
    require(parsed.user is None, "url", "may hold no user or password")
    return str(parsed.origin()) + _API_PATH.sub("", parsed.path).rstrip("/")
