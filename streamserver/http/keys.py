"""API keys: who may use the server, by name."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from aiohttp import web


class Keys:
    """Names by key. Only hashes are held, and every one is compared with, in constant time each."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._hashes = {name: _hash(key) for name, key in keys.items()}

    def __bool__(self) -> bool:
        """Whether there are any: without keys everyone is anonymous."""
        return bool(self._hashes)

    def name_of(self, key: str) -> str | None:
        """Whose key it is, None if nobody's."""
        wanted = _hash(key)
        found = None
        for name, hashed in self._hashes.items():
            if hmac.compare_digest(hashed, wanted):
                found = name
        return found


class KeysError(ValueError):
    """The variable with the keys cannot be read. The message quotes nothing of it."""


def parse_keys(text: str) -> Keys:
    """``name:key,name:key``. Raises :class:`KeysError`."""
    keys: dict[str, str] = {}
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        name, separator, key = entry.partition(":")
        if not separator or not name.strip() or not key.strip():
            raise KeysError(f"entry {number} is not of the form name:key")
        if name.strip() in keys:
            raise KeysError(f"entry {number} has a name that is there already")
        keys[name.strip()] = key.strip()
    return Keys(keys)


def presented_key(request: web.Request) -> str | None:
    """The key in ``Authorization: Bearer`` or ``X-API-Key``, None without one."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return request.headers.get("X-API-Key", "").strip() or None


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
