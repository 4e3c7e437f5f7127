"""Whether Redis accepts what a new stream needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from loguru import logger
from redis.exceptions import ResponseError

from streamserver.redis._redis_py import Command, Replies, first_word
from streamserver.redis.keys import PROBE_KEY, PROBE_SET_KEY, PROBE_STREAM_KEY
from streamserver.store.base import StoreUnavailable

RECHECK_SECONDS = 1.0

PERMISSION_PROBES: tuple[Command, ...] = (
    ("XADD", PROBE_STREAM_KEY, "*", "r", ""),
    ("PEXPIRE", PROBE_STREAM_KEY, 1000),
    ("XRANGE", PROBE_STREAM_KEY, "-", "+", "COUNT", 1),
    ("XREVRANGE", PROBE_STREAM_KEY, "+", "-", "COUNT", 1),
    ("XREAD", "COUNT", 1, "STREAMS", PROBE_STREAM_KEY, "0"),
    ("XDEL", PROBE_STREAM_KEY, "0-1"),
    ("EXISTS", PROBE_STREAM_KEY),
    ("PTTL", PROBE_STREAM_KEY),
    ("SET", PROBE_KEY, "1", "PX", 1000),
    ("GET", PROBE_KEY),
    ("EVAL", "return 1", 0),
    ("DEL", PROBE_KEY),
    ("INCRBY", PROBE_KEY, 1),
    ("EXPIRE", PROBE_KEY, 1),
    ("ZADD", PROBE_SET_KEY, 1, "member"),
    ("ZSCORE", PROBE_SET_KEY, "member"),
    ("ZCARD", PROBE_SET_KEY),
    ("ZRANGE", PROBE_SET_KEY, 0, 0),
    ("ZREM", PROBE_SET_KEY, "member"),
    ("ZREMRANGEBYSCORE", PROBE_SET_KEY, "-inf", 0),
    ("ZPOPMAX", PROBE_SET_KEY),
    ("TIME",),
    ("PING",),
)
"""A harmless probe of each command that the store and the limits use."""


class Readiness:
    """The current rejections by Redis: ``reason`` is None while it accepts new streams.

    A store that went away after it had answered counts as ready: this node still serves readers and running streams,
    and all nodes would be taken out of service at once.
    """

    def __init__(self) -> None:
        self._no_reply_reason: str | None = "the store has not answered yet"
        self._refusals: dict[str, tuple[str, str]] = {}
        """Where a refusal was seen → the command and the first word of the answer."""

    @property
    def reason(self) -> str | None:
        for command, word in self._refusals.values():
            return f"the store refuses {command}: {word}"
        return self._no_reply_reason

    def connection_failed(self, command: str, error: BaseException) -> None:
        """Note that no connection could be opened; ``command`` was the last one."""
        word = first_word(error)
        if word is not None:
            self._refused("connecting", command, word)
        elif self._no_reply_reason is not None:
            self._no_reply_reason = f"the store has not answered yet ({type(error).__name__})"

    def connected(self, probe: Any) -> None:
        """Note that a connection was opened, and the reply to its first write."""
        self._refusals.pop("connecting", None)
        self.record_reply("writing", "SET", probe)

    def record_reply(self, source: str, command: str, reply: Any) -> None:
        """Note the reply to a command which is regularly sent."""
        if isinstance(reply, ResponseError):
            self._refused(source, command, first_word(reply) or "ERR")
        else:
            self._refusals.pop(source, None)

    def record_replies(self, source: str, commands: Sequence[Command], replies: Replies) -> None:
        """Note the first refusal of several commands."""
        for command, reply in zip(commands, replies, strict=True):
            self.record_reply(source, str(command[0]), reply)
            if isinstance(reply, ResponseError):
                return

    async def check_permissions(self, ask: Callable[[], Awaitable[Replies]], wanted: asyncio.Event) -> None:
        """Probe every permission when ``wanted`` is set, and periodically while one is missing; until cancelled."""
        while True:
            await wanted.wait()
            wanted.clear()
            try:
                self.record_replies("permissions", PERMISSION_PROBES, await ask())
                self._no_reply_reason = None
            except StoreUnavailable:
                continue  # the next connection sets `wanted` again
            if "permissions" in self._refusals:
                await asyncio.sleep(RECHECK_SECONDS)
                wanted.set()

    def _refused(self, source: str, command: str, word: str) -> None:
        if self._refusals.get(source) != (command, word):
            self._refusals[source] = (command, word)
            logger.bind(event="store", command=command, answer=word).warning("the store refuses a command")
