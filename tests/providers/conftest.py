"""Fixtures for tests of providers by themselves, without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from providers.transport import AiohttpTransport, Transport


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """Return the real transport, closed at the end."""
    transport = AiohttpTransport()
    yield transport
    await transport.aclose()
