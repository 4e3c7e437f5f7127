"""The opaque part of a model's reasoning on a wire that is not its vendor's own.

It is handed out as one string, tagged with the protocol and the model that made it, and sent back by the client
in the next turn. The string is no secret and is not protected: its content means something to its vendor only,
which checks it.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Literal

import msgspec

from providers.base import ApiProtocol, Opaque

# What vendors append to a model's name for one of its snapshots: -2025-08-07, -20250929, @20250929, -latest.
_SNAPSHOT = re.compile(r"(?:[-@]\d{4}-?\d{2}-?\d{2}|-latest)$")


class _Sealed(msgspec.Struct, frozen=True):
    v: Literal[1]
    k: ApiProtocol
    m: str
    d: dict[str, Any]


_SEALED_DECODER = msgspec.json.Decoder(_Sealed)


def seal(part: Opaque) -> str:
    """Return ``part`` as a string for a client of another wire to send back."""
    sealed = _Sealed(1, part.protocol, part.model, dict(part.data))
    return base64.b64encode(msgspec.json.encode(sealed)).decode()


def unseal(text: str) -> Opaque | None:
    """Return what :func:`seal` made ``text`` of, None if it was not made by it."""
    try:
        sealed = _SEALED_DECODER.decode(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):  # msgspec's errors are ValueErrors
        return None
    return Opaque(sealed.k, sealed.m, sealed.d)


def readable_by(part: Opaque | None, protocol: ApiProtocol, model: str) -> bool:
    """Return whether ``part`` may go back to ``model`` at a provider that speaks ``protocol``.

    A snapshot of a model is that model. A part of an unknown model may go to any.
    """
    if part is None or part.protocol != protocol:
        return False
    return not part.model or _family(part.model) == _family(model)


def _family(model: str) -> str:
    return _SNAPSHOT.sub("", model)
