"""The caller of a request, without its HTTP."""

from __future__ import annotations

import msgspec

from streamserver.admission import Quota


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """The permissions of a caller. ``providers`` and ``models`` that are empty allow all of them."""

    quota: Quota
    max_tokens: int
    """The most that one request may ask for, and what a request that does not ask gets."""
    providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


class Caller(msgspec.Struct, frozen=True):
    """The caller of one request. Made once, by the authentication middleware.

    ``key_name`` is the name of its API key, empty for anonymous callers; ``account`` is what limits apply to: the
    key's name, or the client's address for anonymous callers.
    """

    request_id: str
    key_name: str
    account: str
    permissions: Permissions
