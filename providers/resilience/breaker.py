"""A circuit breaker: leaves out a provider that fails repeatedly, and tries it again after a while.

It never refuses a request: :class:`~providers.resilience.fallback.Fallback`, which has other providers to ask, looks
at :attr:`Breaker.ready` first.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, TypeAlias

from providers.clock import Clock
from providers.errors import (
    Overloaded,
    ProviderAuth,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)

FAILURES_TO_OPEN = 3
"""After this many failures in a row, each with its retries, the provider is left out."""

FIRST_COOL_DOWN_SECONDS = 10.0
LONGEST_COOL_DOWN_SECONDS = 300.0

PROVIDER_FAULTS = (
    RateLimited,
    QuotaExceeded,
    Overloaded,
    ProviderAuth,
    UpstreamUnavailable,
    UpstreamError,
    UpstreamDisconnected,
    UpstreamTimeout,
)
"""Failures that are the provider's, whatever it was asked."""

State: TypeAlias = Literal["closed", "open", "half_open"]


class Breaker:
    """The state of one provider.

    ``closed``: it works. After :data:`FAILURES_TO_OPEN` failures in a row it is ``open`` for a cool-down of
    10 s (longer if the provider said when to come back), then ``half_open``: the next request probes it. A first
    token closes it, a failure opens it for twice as long as before, at most 5 minutes. The errors that count as
    failures are :data:`PROVIDER_FAULTS`; a complete answer resets the count.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open_until: float | None = None
        self._cool_down = FIRST_COOL_DOWN_SECONDS
        self._probing = False
        self.failures = 0
        """In a row, until now."""
        self._observe: Callable[[bool], None] = _ignore

    def watch(self, observer: Callable[[bool], None] | None) -> None:
        """Call ``observer`` now and at each change with whether the provider is left out. It replaces the last one."""
        self._observe = observer or _ignore
        self._observe(self._open_until is not None)

    @property
    def state(self) -> State:
        if self._open_until is None:
            return "closed"
        return "open" if self._clock.time() < self._open_until else "half_open"

    @property
    def ready(self) -> bool:
        """Whether to ask this provider rather than another."""
        return self.state == "closed" or (self.state == "half_open" and not self._probing)

    @property
    def retry_in(self) -> float | None:
        """Seconds until the provider is probed, None if it is not left out."""
        if self._open_until is None:
            return None
        return max(0.0, self._open_until - self._clock.time())

    def request(self) -> AbstractContextManager[None]:
        """Count the block as a request to the provider, with what it fails with."""
        return _Request(self)

    def begin_probe(self) -> bool:
        """Return whether the request that begins probes the provider: no other one does meanwhile."""
        if self._open_until is None or self._probing or self.state != "half_open":
            return False
        self._probing = True
        return True

    def end_probe(self) -> None:
        """Let another request probe the provider, if it is still left out."""
        self._probing = False

    def record_token(self) -> None:
        """Close: the provider works now. Its failures are forgotten only after a complete answer."""
        if self._open_until is not None:
            self._open_until = None
            self._observe(False)

    def record_success(self) -> None:
        """Reset the count of failures after a complete answer."""
        if self._open_until is None:
            self.failures = 0
            self._cool_down = FIRST_COOL_DOWN_SECONDS

    def record_failure(self, error: ProviderError) -> None:
        """Count ``error``, unless the request is to blame for it."""
        if isinstance(error, PROVIDER_FAULTS):
            self.failures += 1
            if self.state != "open" and self.failures >= FAILURES_TO_OPEN:
                self._open(error.retry_after or 0.0)

    def _open(self, retry_after: float) -> None:
        seconds = max(self._cool_down, min(retry_after, LONGEST_COOL_DOWN_SECONDS))
        self._open_until = self._clock.time() + seconds
        self._cool_down = min(self._cool_down * 2, LONGEST_COOL_DOWN_SECONDS)
        self._observe(True)


class _Request:
    """A request under way. Its own class: :func:`contextlib.contextmanager` runs three times as much code."""

    __slots__ = ("_breaker", "_probes")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._probes = False

    def __enter__(self) -> None:
        self._probes = self._breaker.begin_probe()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, ProviderError):
            self._breaker.record_failure(error)
        if self._probes:
            self._breaker.end_probe()


def _ignore(left_out: bool) -> None:
    """Watch nothing."""
