"""Admission: an account's quota of concurrent streams, stream starts per minute and tokens per day."""

from streamserver.admission.limiter import Limiter, Quota, QuotaExhausted
from streamserver.admission.memory import MemoryLimiter

__all__ = ["Limiter", "MemoryLimiter", "Quota", "QuotaExhausted"]
