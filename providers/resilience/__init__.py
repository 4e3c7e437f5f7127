"""Deadlines, retries, circuit breakers and fallbacks. :class:`Resilient` and :class:`Fallback` are providers too."""

from providers.resilience.breaker import Breaker
from providers.resilience.deadline import Deadline
from providers.resilience.fallback import Candidate, Fallback
from providers.resilience.resilient import Resilient
from providers.resilience.retry import Retry

__all__ = ["Breaker", "Candidate", "Deadline", "Fallback", "Resilient", "Retry"]
