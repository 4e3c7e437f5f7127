"""Tokens charged to accounts, written to Redis."""

from __future__ import annotations

import asyncio
import secrets

from streamserver.admission.limiter import DAY_SECONDS
from streamserver.redis.connection import Replies
from streamserver.redis.limit_keys import tokens_key, writer_key
from streamserver.redis.retrying_connection import RetryingConnection

REMEMBERED_SECONDS = 3600
"""How long Redis remembers the number of a process's last write."""

# KEYS: the writer's key, then keys of tokens. ARGV: the write's number, the ttl of the two kinds of key, amounts.
_CHARGE = """
if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for i = 2, #KEYS do
    local amount = tonumber(ARGV[i + 2])
    if redis.call('INCRBY', KEYS[i], amount) == amount then redis.call('EXPIRE', KEYS[i], ARGV[3]) end
end
return 1
"""


class Charges:
    """Charges of this process. Each is counted exactly once, also if the reply to its write is lost: writes are
    numbered, and Redis ignores a number that it has seen."""

    def __init__(self, connection: RetryingConnection) -> None:
        self._connection = connection
        self._writer = writer_key(secrets.token_urlsafe(8))
        self._number = 0
        self._pending: dict[str, int] = {}
        """Account → tokens that no write contains yet."""
        self._written: dict[str, int] = {}
        """Account → tokens of the write with the last number, until Redis has confirmed it."""
        self._reply: asyncio.Future[Replies] | None = None

    @property
    def unconfirmed(self) -> int:
        """The number of charges that Redis has not confirmed."""
        return len(self._pending) + len(self._written)

    def add(self, account: str, tokens: int) -> None:
        """Charge ``account``. Never fails, never blocks."""
        self._pending[account] = self._pending.get(account, 0) + tokens
        self.write()

    def write(self) -> None:
        """Write what is not confirmed, unless a reply is awaited. To be called regularly, and on each connection."""
        if self._reply is not None or not self._connection.is_connected:
            return
        if not self._written:
            self._written, self._pending = self._pending, {}
            self._number += 1
        if self._written:
            keys = [self._writer, *map(tokens_key, self._written)]
            arguments = [self._number, REMEMBERED_SECONDS, DAY_SECONDS, *self._written.values()]
            self._reply = self._connection.submit(("EVAL", _CHARGE, len(keys), *keys, *arguments))
            self._reply.add_done_callback(self._on_reply)

    async def flush(self) -> None:
        """Wait until Redis has confirmed, or rejected, every charge."""
        while self._reply is not None:
            await asyncio.wait((self._reply,))

    def _on_reply(self, reply: asyncio.Future[Replies]) -> None:
        self._reply = None
        if self._connection.accepted(reply):
            self._written = {}
            self.write()
