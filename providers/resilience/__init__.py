"""What makes a provider dependable. Both :class:`Dependable` and :class:`Fallback` wrap providers and are providers."""

from providers.resilience.breaker import Breaker
from providers.resilience.dependable import Dependable
from providers.resilience.expiry import Expiry
from providers.resilience.fallback import Candidate, Fallback
from providers.resilience.retry import Retry

__all__ = ["Breaker", "Candidate", "Dependable", "Expiry", "Fallback", "Retry"]
