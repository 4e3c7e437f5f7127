"""Wrappers that make a provider dependable. Each wraps a provider and is a provider."""

from providers.resilience.deadlines import Deadlines, Expiry
from providers.resilience.retry import Retry

__all__ = ["Deadlines", "Expiry", "Retry"]
