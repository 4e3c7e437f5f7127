"""Fixtures: Anthropic's SDK."""

from __future__ import annotations

from tests.messages.conftest import client_of

__all__ = ["client_of"]
