"""What the vendors' SDKs are asked for: where to send a request, and with which headers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_PREFIXES = ("OPENAI_", "ANTHROPIC_", "AZURE_OPENAI_")
_GIVEN = "_API_KEY"
"""Keys are always given, so that the SDKs look for none: the one variable that is often set need not be touched."""


@contextmanager
def without_environment() -> Iterator[None]:
    """Build an SDK client inside this, and it reads no key, address or header from the environment.

    The SDKs pick up keys, organisations, base URLs and custom headers by themselves; here a
    provider has what its table in ``config.toml`` names, and nothing else. Not for use
    beside threads that read the same variables.
    """
    names = [name for name in os.environ if name.startswith(_PREFIXES) and not name.endswith(_GIVEN)]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


def plain_headers(headers: Mapping[str, object]) -> dict[str, str]:
    """The SDK's default headers without its "omit this" markers."""
    return {name: value for name, value in headers.items() if isinstance(value, str)}
