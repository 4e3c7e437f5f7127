"""Limits in this process's memory."""

from __future__ import annotations

from collections import OrderedDict, deque

from providers.clock import Clock
from streamserver.admission.limiter import DAY_SECONDS, MINUTE_SECONDS, Quota
from streamserver.core.resources import Resources


class MemoryLimiter:
    """Limits of this process alone.

    Expired entries are dropped from the old end of ordered dicts, so that an admission costs the same with any
    number of accounts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: dict[str, int] = {}
        self._starts: OrderedDict[str, deque[float]] = OrderedDict()
        """Account → times of the starts of the last minute. The account with the oldest last start comes first."""
        self._tokens: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Account → tokens used and when they expire. The first to expire comes first."""

    @property
    def entries(self) -> int:
        """The number of entries in memory."""
        return len(self._slots) + len(self._starts) + len(self._tokens)

    @property
    def slots_taken(self) -> int:
        """The number of slots that all accounts together hold."""
        return sum(self._slots.values())

    async def start(self) -> None:
        """Do nothing: there is nothing to start."""

    async def aclose(self) -> None:
        """Do nothing: there is nothing to write."""

    async def admit(self, account: str, quota: Quota, resources: Resources) -> None:
        now = self._clock.time()
        self._drop_expired(now)
        slots = self._slots.get(account, 0)
        if slots >= quota.max_streams:
            raise quota.reached("streams", 1)
        tokens, expires = self._tokens.get(account, (0, 0.0))
        if tokens >= quota.tokens_per_day > 0:
            raise quota.reached("tokens", expires - now)
        starts = self._starts.setdefault(account, deque())
        while starts and starts[0] <= now - MINUTE_SECONDS:
            starts.popleft()
        # After a lowered quota there can be more starts than allowed: all but the newest ones must expire first.
        if (surplus := len(starts) - quota.requests_per_minute) >= 0:
            raise quota.reached("requests", starts[surplus] + MINUTE_SECONDS - now)
        starts.append(now)
        self._starts.move_to_end(account)
        self._slots[account] = slots + 1
        resources.callback(self._release, account)

    def refund_start(self, account: str) -> None:
        if starts := self._starts.get(account):
            starts.pop()
            if not starts:
                del self._starts[account]

    def charge(self, account: str, quota: Quota, tokens: int) -> None:
        if quota.tokens_per_day and tokens > 0:
            now = self._clock.time()
            self._drop_expired(now)
            used, expires = self._tokens.get(account, (0, now + DAY_SECONDS))
            self._tokens[account] = (used + tokens, expires)

    def _release(self, account: str) -> None:
        self._slots[account] -= 1
        if not self._slots[account]:
            del self._slots[account]

    def _drop_expired(self, now: float) -> None:
        while self._starts and next(iter(self._starts.values()))[-1] <= now - MINUTE_SECONDS:
            self._starts.popitem(last=False)
        while self._tokens and next(iter(self._tokens.values()))[1] <= now:
            self._tokens.popitem(last=False)
