"""Who may start how many streams, how often, and how many tokens a day: in this process, or over all nodes."""

from streamserver.admission.limiter import LimitReached, Limiter, Quota, memory_limiter
from streamserver.admission.slots import Slots, StoreUnavailable

__all__ = ["LimitReached", "Limiter", "Quota", "Slots", "StoreUnavailable", "memory_limiter"]
