"""API keys: who may use the server, by name."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from aiohttp import web

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_NAMES = "a name is 1 to 64 of A-Z a-z 0-9 . _ @ -"
_LINE = re.compile(rf"({_NAME.pattern}):sha256:([0-9a-f]{{64}})")


class Keys:
    """Names by key. Only hashes are held, and every one is compared with, in constant time each."""

    def __init__(self, hashes: Iterable[tuple[str, bytes]] = ()) -> None:
        """``hashes``: names with the SHA-256 of a key each; a name may have several keys."""
        self._hashes = tuple(hashes)

    def __bool__(self) -> bool:
        """Whether there are any: without keys everyone is anonymous."""
        return bool(self._hashes)

    def __add__(self, other: Keys) -> Keys:
        return Keys(self._hashes + other._hashes)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self._hashes)

    def name_of(self, key: str) -> str | None:
        """Whose key it is, None if nobody's."""
        wanted = hash_of(key)
        found = None
        for name, hashed in self._hashes:
            if hmac.compare_digest(hashed, wanted):
                found = name
        return found


class KeysError(ValueError):
    """Keys that cannot be read. The message quotes nothing of them."""


def parse_keys(text: str) -> Keys:
    """``name:key,name:key``, as in the environment. Raises :class:`KeysError`."""
    keys: dict[str, str] = {}
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        name, separator, key = entry.partition(":")
        if not separator or not name.strip() or not key.strip():
            raise KeysError(f"entry {number} is not of the form name:key")
        if not _NAME.fullmatch(name.strip()):
            raise KeysError(f"entry {number}: {_NAMES}")
        if name.strip() in keys:
            raise KeysError(f"entry {number} has a name that is there already")
        keys[name.strip()] = key.strip()
    return Keys((name, hash_of(key)) for name, key in keys.items())


def parse_keys_file(text: str) -> Keys:
    """Lines of ``name:sha256:hash``, as :func:`new_key` makes them; empty ones and comments (``#``) are skipped.

    A name may have several lines: an old key and its successor. Raises :class:`KeysError`.
    """
    hashes = []
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.partition("#")[0].strip()
        if entry:
            match = _LINE.fullmatch(entry)
            if match is None:
                raise KeysError(f"line {number} is not of the form name:sha256:hash; see `streamserver keys new`")
            hashes.append((match[1], bytes.fromhex(match[2])))
    return Keys(hashes)


def new_key(name: str) -> tuple[str, str]:
    """A new key for ``name``, and its line for the file. Raises :class:`KeysError` for a name that cannot be one."""
    if not _NAME.fullmatch(name):
        raise KeysError(_NAMES)
    key = f"sk-{secrets.token_urlsafe(32)}"
    return key, f"{name}:sha256:{hash_of(key).hex()}"


def presented_key(request: web.Request) -> str | None:
    """The key in ``Authorization: Bearer`` or ``X-API-Key``, None without one."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return request.headers.get("X-API-Key", "").strip() or None


def hash_of(key: str) -> bytes:
    """What is kept of a key. A plain hash is enough: a key of :func:`new_key` has 256 random bits. One in the
    environment has what somebody typed, but its hash is held in memory only."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
