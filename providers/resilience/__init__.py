"""Wrappers that make a provider dependable. Each wraps a provider and is a provider."""

from providers.resilience.breaker import Breaker, Watched
from providers.resilience.deadlines import Deadlines, Expiry
from providers.resilience.fallback import Candidate, Fallback
from providers.resilience.retry import Retry

__all__ = ["Breaker", "Candidate", "Deadlines", "Expiry", "Fallback", "Retry", "Watched"]
