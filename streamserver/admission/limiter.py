"""The limits of a user: stream starts per minute, streams at a time, tokens per day."""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache
from typing import Protocol

import msgspec
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage.base import Storage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from limits.errors import StorageError
from limits.limits import safe_string

from providers.clock import Clock
from streamserver.admission.slots import MemorySlots, Slots
from streamserver.admission.storage import MemoryStorage
from streamserver.core.refusals import UserLimit
from streamserver.store.base import StoreUnavailable

MINUTE_SECONDS = 60
DAY_SECONDS = 86_400


class Quota(msgspec.Struct, frozen=True):
    """What one user may have. ``tokens_per_day`` 0: no limit."""

    max_streams: int
    requests_per_minute: int
    tokens_per_day: int


class LimitReached(Exception):
    """A user has used up ``limit``: ``quota`` of it per ``window`` seconds (0: at a time).
    ``retry_after`` (seconds) is when there is some again; 1 where nobody can know."""

    def __init__(self, limit: UserLimit, quota: int, window: int, retry_after: float) -> None:
        self.limit = limit
        self.quota = quota
        self.window = window
        self.retry_after = max(0.0, retry_after)
        super().__init__(limit)


class Counters(Protocol):
    """What is counted over time, for the strategies of the ``limits`` library."""

    @property
    def storage(self) -> Storage: ...

    def now(self) -> float:
        """The time in which ``storage`` tells resets."""
        ...

    def add(self, key: str, expiry: int, amount: int) -> object:
        """Count ``amount`` more. Never fails, never waits."""
        ...

    def take_back(self, key: str) -> object:
        """Take the last entry of a window out of it. Never fails, never waits."""
        ...


class Limiter:
    """Admits streams, and is told what they used."""

    def __init__(self, slots: Slots, counters: Counters) -> None:
        self.slots = slots
        self._counters = counters
        self._starts = MovingWindowRateLimiter(counters.storage)
        self._tokens = FixedWindowRateLimiter(counters.storage)

    async def start(self) -> None:
        """To be called before use, in the loop that uses it."""

    async def aclose(self) -> None:
        """Give back what others wait for."""

    async def admit(self, user: str, quota: Quota, held: ExitStack) -> None:
        """Count a start of ``user``. Closing ``held`` gives back what it occupies.

        If this raises, or is cancelled, nothing is occupied. A start that is refused for another
        limit of the user does not count as one; one that the server then refuses for itself does.
        Raises :class:`LimitReached`, or :class:`~streamserver.store.base.StoreUnavailable`.
        """
        release = await self.slots.take(user, quota.max_streams)
        if release is None:
            raise LimitReached("streams", quota.max_streams, 0, 1)
        with ExitStack() as taken:
            taken.callback(release)
            try:
                if quota.tokens_per_day:
                    await self._check_tokens(user, quota.tokens_per_day)
                await self._count_start(user, quota.requests_per_minute)
            except StorageError as error:
                raise StoreUnavailable from error
            held.push(taken.pop_all())

    def take_back(self, user: str) -> None:
        """The last start of ``user`` that counted was none: it found another's stream. Never fails, never waits."""
        self._counters.take_back(_starts_item(1).key_for(user))

    def charge(self, user: str, quota: Quota, tokens: int) -> None:
        """``user`` has used ``tokens``. Never fails, never waits."""
        if quota.tokens_per_day and tokens > 0:
            item = _tokens_item(quota.tokens_per_day)
            self._counters.add(item.key_for(user), item.get_expiry(), tokens)

    async def _check_tokens(self, user: str, most: int) -> None:
        item = _tokens_item(most)
        if not await self._tokens.test(item, user):
            reset, _ = await self._tokens.get_window_stats(item, user)
            raise LimitReached("tokens", most, DAY_SECONDS, reset - self._counters.now())

    async def _count_start(self, user: str, most: int) -> None:
        item = _starts_item(most)
        if not await self._starts.hit(item, user):
            reset, _ = await self._starts.get_window_stats(item, user)
            raise LimitReached("requests", most, MINUTE_SECONDS, reset - self._counters.now())


class MemoryCounters:
    """Counters of this process."""

    def __init__(self, clock: Clock) -> None:
        self.storage = MemoryStorage(clock)
        self.now = clock.time
        self.add = self.storage.add
        self.take_back = self.storage.take_back


def memory_limiter(clock: Clock) -> Limiter:
    """Limits of this process alone."""
    return Limiter(MemorySlots(), MemoryCounters(clock))


class _Starts(RateLimitItemPerMinute):
    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        return _key_for(self, *identifiers)


class _Tokens(RateLimitItemPerDay):
    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        return _key_for(self, *identifiers)


def _key_for(item: RateLimitItem, *identifiers: bytes | str | int | float) -> str:
    """Without the amount, which the library's own has in it: who has used up a limit is not given all of it anew
    because it was changed."""
    return "/".join((item.namespace, *map(safe_string, identifiers), item.GRANULARITY.name))


_starts_item = lru_cache(_Starts)
_tokens_item = lru_cache(_Tokens)
