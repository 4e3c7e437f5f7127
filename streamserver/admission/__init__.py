"""Who may start how many streams, how often, and how many tokens a day: in this process, or over all nodes."""

from streamserver.admission.limiter import Limiter, LimitReached, Quota, memory_limiter
from streamserver.admission.slots import Slots

__all__ = ["LimitReached", "Limiter", "Quota", "Slots", "memory_limiter"]
