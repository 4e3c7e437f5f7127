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

RIGHTS: tuple[Command, ...] = (
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
"""Each command that the store and the limits use, as a question that changes nothing which is needed."""


class Readiness:
    """What Redis refuses at the moment: ``reason`` is None while it accepts new streams.

    A store that went away after it had answered counts as ready: this node still serves readers and running streams,
    and all nodes would be taken out of service at once.
    """

    def __init__(self) -> None:
        self._unanswered: str | None = "the store has not answered yet"
        self._refusals: dict[str, tuple[str, str]] = {}
        """Where a refusal was seen → the command and the first word of the answer."""

    @property
    def reason(self) -> str | None:
        for command, word in self._refusals.values():
            return f"the store refuses {command}: {word}"
        return self._unanswered

    def connection_failed(self, command: str, error: BaseException) -> None:
        """Note that no connection could be opened; ``command`` was the last one."""
        word = first_word(error)
        if word is not None:
            self._refused("connecting", command, word)
        elif self._unanswered is not None:
            self._unanswered = f"the store has not answered yet ({type(error).__name__})"

    def connected(self, probe: Any) -> None:
        """Note that a connection was opened, and the reply to its first write."""
        self._refusals.pop("connecting", None)
        self.note("writing", "SET", probe)

    def note(self, place: str, command: str, reply: Any) -> None:
        """Note the reply to a command which is regularly sent."""
        if isinstance(reply, ResponseError):
            self._refused(place, command, first_word(reply) or "ERR")
        else:
            self._refusals.pop(place, None)

    def note_all(self, place: str, commands: Sequence[Command], replies: Replies) -> None:
        """Note the first refusal of several commands."""
        for command, reply in zip(commands, replies, strict=True):
            self.note(place, str(command[0]), reply)
            if isinstance(reply, ResponseError):
                return

    async def check_rights(self, ask: Callable[[], Awaitable[Replies]], wanted: asyncio.Event) -> None:
        """Ask for every right whenever ``wanted`` is set, and every now and then while one is missing; for ever."""
        while True:
            await wanted.wait()
            wanted.clear()
            try:
                self.note_all("rights", RIGHTS, await ask())
                self._unanswered = None
            except StoreUnavailable:
                continue  # it is asked again after the next connection
            if "rights" in self._refusals:
                await asyncio.sleep(RECHECK_SECONDS)
                wanted.set()

    def _refused(self, place: str, command: str, word: str) -> None:
        if self._refusals.get(place) != (command, word):
            self._refusals[place] = (command, word)
            logger.bind(event="store", command=command, answer=word).warning("the store refuses a command")
