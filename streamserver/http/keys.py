"""API keys and their names."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable

from aiohttp import web

_KEY_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_KEY_NAME_RULE = "a name is 1 to 64 of A-Z a-z 0-9 . _ @ -"
_HASHED_KEY = re.compile(rf"({_KEY_NAME.pattern}):sha256:([0-9a-f]{{64}})")


class Keys:
    """The names of keys, by the keys' SHA-256 digests. The keys themselves are not held.

    How long a lookup takes tells nothing about the keys: a dict compares only digests that are equal in a hash with a
    secret seed, and no client can choose a digest's bytes.
    """

    def __init__(self, digests: Iterable[tuple[str, bytes]] = ()) -> None:
        """``digests`` are pairs of a name and a digest. A name can have several keys."""
        self._names = {digest: name for name, digest in digests}

    def __bool__(self) -> bool:
        """Return whether there are any: without keys every caller is anonymous."""
        return bool(self._names)

    def __add__(self, other: Keys) -> Keys:
        return Keys((name, digest) for names in (self._names, other._names) for digest, name in names.items())

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._names.values())

    def name_of(self, key: str) -> str | None:
        """Return the name of ``key``, or None if the key is unknown."""
        return self._names.get(digest_of(key))


class KeysError(ValueError):
    """Malformed keys. The message quotes nothing of them."""


def parse_keys(text: str) -> Keys:
    """Read ``name:key,name:key``, as in the environment. Raises :class:`KeysError`."""
    keys: dict[str, str] = {}
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        name, separator, key = entry.partition(":")
        if not separator or not name.strip() or not key.strip():
            raise KeysError(f"entry {number} is not of the form name:key")
        if not _KEY_NAME.fullmatch(name.strip()):
            raise KeysError(f"entry {number}: {_KEY_NAME_RULE}")
        if name.strip() in keys:
            raise KeysError(f"entry {number} repeats a name")
        keys[name.strip()] = key.strip()
    return Keys((name, digest_of(key)) for name, key in keys.items())


def parse_keys_file(text: str) -> Keys:
    """Read lines of ``name:sha256:hash``, as :func:`new_key` makes them. Empty lines and comments (``#``) are skipped.

    A name can have several lines: an old key and its successor. Raises :class:`KeysError`.
    """
    digests = []
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.partition("#")[0].strip()
        if entry:
            match = _HASHED_KEY.fullmatch(entry)
            if match is None:
                raise KeysError(f"line {number} is not of the form name:sha256:hash; see `streamserver keys new`")
            digests.append((match[1], bytes.fromhex(match[2])))
    return Keys(digests)


def new_key(name: str) -> tuple[str, str]:
    """Return a new key for ``name``, and its line for the file. Raises :class:`KeysError` if the name is malformed."""
    if not _KEY_NAME.fullmatch(name):
        raise KeysError(_KEY_NAME_RULE)
    key = f"sk-{secrets.token_urlsafe(32)}"
    return key, f"{name}:sha256:{digest_of(key).hex()}"


def bearer_or_api_key(request: web.Request) -> str | None:
    """Return the key in ``Authorization: Bearer``, else in ``X-API-Key``, or None."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return request.headers.get("X-API-Key", "").strip() or None


def digest_of(key: str) -> bytes:
    """Return the SHA-256 digest of ``key``.

    A slow, salted hash is not needed: the keys of :func:`new_key` have 256 random bits, and the digests of keys in the
    environment, which can be weaker, are held in memory only.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
