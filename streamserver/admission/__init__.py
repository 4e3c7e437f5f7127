"""Admission: a user's quota of concurrent streams, stream starts per minute and tokens per day."""

from streamserver.admission.limiter import Limiter, LimitReached, Quota
from streamserver.admission.memory import MemoryLimiter

__all__ = ["LimitReached", "Limiter", "MemoryLimiter", "Quota"]
