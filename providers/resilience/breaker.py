"""Leaving out a provider that fails again and again, and trying it again after a while.

A :class:`Breaker` remembers how a provider did, and never refuses a request: who has somebody else to ask
(:class:`~providers.resilience.fallback.Fallback`) looks at :attr:`Breaker.ready` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
"""So many in a row, each with its retries, and the provider is left out."""

FIRST_COOL_DOWN_SECONDS = 10.0
LONGEST_COOL_DOWN_SECONDS = 300.0

PROVIDERS_FAULT = (
    RateLimited,
    QuotaExceeded,
    Overloaded,
    ProviderAuth,
    UpstreamUnavailable,
    UpstreamError,
    UpstreamDisconnected,
    UpstreamTimeout,
)
"""Failures that say something of the provider, whatever it was asked."""

State: TypeAlias = Literal["closed", "open", "half_open"]


class Breaker:
    """How one provider did lately.

    ``closed``: it works. After :data:`FAILURES_TO_OPEN` failures in a row it is ``open`` for a cool-down of
    10 s (longer if the provider said when to come back), then ``half_open``: the next request tries it. A first
    token closes it, a failure opens it for twice as long as before, at most 5 minutes. What counts as a failure
    is :data:`PROVIDERS_FAULT`; an answer that was complete forgets all failures.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open_until: float | None = None
        self._cool_down = FIRST_COOL_DOWN_SECONDS
        self._trying = False
        self.failures = 0
        """In a row, until now."""
        self.times_opened = 0
        """Since the start; it only rises."""
        self._observe: Callable[[bool], None] = _nobody

    def watch(self, observer: Callable[[bool], None] | None) -> None:
        """``observer`` is told whether the provider is left out, now and whenever that changes; whoever watched before
        is told no more."""
        self._observe = observer or _nobody
        self._observe(self._open_until is not None)

    @property
    def state(self) -> State:
        if self._open_until is None:
            return "closed"
        return "open" if self._clock.time() < self._open_until else "half_open"

    @property
    def ready(self) -> bool:
        """Whether to ask this provider rather than another."""
        return self.state == "closed" or (self.state == "half_open" and not self._trying)

    @property
    def retry_in(self) -> float | None:
        """Seconds until it is tried again, None if it is not left out."""
        if self._open_until is None:
            return None
        return max(0.0, self._open_until - self._clock.time())

    @contextmanager
    def asked(self) -> Iterator[None]:
        """A request goes to the provider, for as long as the block runs. What it fails with counts."""
        tries = self.state == "half_open" and not self._trying
        self._trying = self._trying or tries
        try:
            yield
        except ProviderError as error:
            self.failed(error)
            raise
        finally:
            if tries:
                self._trying = False

    def answered(self) -> None:
        """A first token came: whatever was, it works now. Only a complete answer forgets its failures."""
        if self._open_until is not None:
            self._open_until = None
            self._observe(False)

    def completed(self) -> None:
        """An answer was complete."""
        if self._open_until is None:
            self.failures = 0
            self._cool_down = FIRST_COOL_DOWN_SECONDS

    def failed(self, error: ProviderError) -> None:
        """The request failed. What a provider refuses for the request's sake, it has at least understood."""
        if isinstance(error, PROVIDERS_FAULT):
            self.failures += 1
            if self.state != "open" and self.failures >= FAILURES_TO_OPEN:
                self._open(error.retry_after or 0.0)

    def _open(self, retry_after: float) -> None:
        seconds = max(self._cool_down, min(retry_after, LONGEST_COOL_DOWN_SECONDS))
        self._open_until = self._clock.time() + seconds
        self._cool_down = min(self._cool_down * 2, LONGEST_COOL_DOWN_SECONDS)
        self.times_opened += 1
        self._observe(True)


def _nobody(left_out: bool) -> None:
    """Watches no breaker."""
