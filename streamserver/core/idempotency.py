"""Idempotency keys: a request that is sent twice is answered once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from streamserver.core.refusals import invalid
from streamserver.log.base import Log
from streamserver.log.records import Failed
from streamserver.store.base import Claim

KEY_PATTERN = r"[\x21-\x7e]{8,128}"
"""The pattern of an idempotency key."""
_VALID_KEY = re.compile(KEY_PATTERN)


def parse_key(candidates: Iterable[tuple[str, str | None]]) -> str | None:
    """Return the idempotency key among ``candidates`` (field name, value), None if there is none.

    Raises :class:`~streamserver.core.refusals.Refusal` for a malformed key, or for two that differ.
    """
    keys = set()
    for field, key in candidates:
        if key is None:
            continue
        if not _VALID_KEY.fullmatch(key):
            raise invalid(field, f"{field} is not 8 to 128 visible ASCII characters.")
        keys.add(key)
    if len(keys) > 1:
        raise invalid("Idempotency-Key", "There is more than one idempotency key.")
    return keys.pop() if keys else None


def claim_for(key_name: str, key: str, content: bytes) -> Claim:
    """Return the claim of idempotency key ``key`` for the API key ``key_name`` and the request ``content``.

    Idempotency keys of different API keys are different. The fingerprint is salted with the key, which is
    stored nowhere, so that the store does not reveal a prompt to a reader that guesses it.
    """
    name = hashlib.sha256(f"{key_name}\0{key}".encode()).hexdigest()
    return Claim(name, hashlib.sha256(key.encode() + b"\0" + content).hexdigest())


def can_regenerate(log: Log) -> bool:
    """Return whether a retry with the key of this stream generates anew.

    That is so if the stream failed with a retryable code before its first token, or was cancelled because its reader
    left: only a client that has the whole answer, or can still have it, is bound to the first generation.
    """
    terminal = log.terminal
    if not isinstance(terminal, Failed):
        return False
    return terminal.abandoned or (terminal.retryable and len(log) == 2)
