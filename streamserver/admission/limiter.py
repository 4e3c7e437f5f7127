"""The interface of the limits of an account."""

from __future__ import annotations

from typing import Protocol

import msgspec

from streamserver.core.refusals import UserLimit
from streamserver.core.resources import Resources

MINUTE_SECONDS = 60
DAY_SECONDS = 86_400


class QuotaExhausted(Exception):
    """An account has reached ``limit``: ``quota`` per ``window`` seconds, or at a time if ``window`` is 0.

    ``retry_after`` is in seconds; it is a guess for concurrent streams, because their ends are unknown.
    """

    def __init__(self, limit: UserLimit, quota: int, window: int, retry_after: float) -> None:
        self.limit = limit
        self.quota = quota
        self.window = window
        self.retry_after = max(0.0, retry_after)
        super().__init__(limit)


class Quota(msgspec.Struct, frozen=True):
    """The quota of one account. ``requests_per_minute`` counts stream starts in a sliding window; ``tokens_per_day``
    counts in a fixed window that begins with the first token, and 0 means no limit."""

    max_streams: int
    requests_per_minute: int
    tokens_per_day: int

    def reached(self, limit: UserLimit, retry_after: float) -> QuotaExhausted:
        """Return the exception for ``limit``, to be raised."""
        match limit:
            case "streams":
                return QuotaExhausted(limit, self.max_streams, 0, retry_after)
            case "requests":
                return QuotaExhausted(limit, self.requests_per_minute, MINUTE_SECONDS, retry_after)
            case "tokens":
                return QuotaExhausted(limit, self.tokens_per_day, DAY_SECONDS, retry_after)


class Limiter(Protocol):
    """A limiter that admits streams within their accounts' quotas.

    A changed quota continues from what the account has already used.
    """

    async def start(self) -> None:
        """Start the limiter, in the event loop that uses it."""

    async def aclose(self) -> None:
        """Write what is still pending, and stop."""

    async def admit(self, account: str, quota: Quota, resources: Resources) -> None:
        """Count a stream start of ``account`` and take one of the account's slots until ``resources`` is closed.

        A refused start does not count, and a call that raises or is cancelled holds no slot. Never more than
        ``quota.max_streams`` slots are taken, as long as their leases can be renewed: a lease that lapsed while
        Redis was away can be taken again while its stream still runs.

        Raises :class:`QuotaExhausted`, or :class:`~streamserver.store.base.StoreUnavailable`.
        """

    def refund_start(self, account: str) -> None:
        """Uncount the account's last start, which joined an existing stream. Never fails, never blocks."""

    def charge(self, account: str, quota: Quota, tokens: int) -> None:
        """Count ``tokens`` that ``account`` has used. Never fails, never blocks."""
