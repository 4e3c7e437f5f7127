"""A chat task: what a stream is to generate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from providers.base import ChatRequest
from providers.catalog import ProviderEntry


class ChatTask(msgspec.Struct, frozen=True, kw_only=True):
    """A valid request for an answer, however it came: what to ask which provider, and how the stream is kept.

    ``grace_seconds`` is how long the generation goes on without a reader. ``wire`` and ``options`` are stored in the
    log's :class:`~streamserver.log.records.Start`. ``names`` returns, for the stream's id, the names that are
    bound to it in the store when it is published (:meth:`~streamserver.store.base.Store.lookup`).
    """

    request: ChatRequest
    entry: ProviderEntry
    grace_seconds: float
    is_detached: bool = False
    """The generation goes on without readers, until its end or its total timeout."""
    wire: str = "native"
    options: Mapping[str, Any] = {}
    names: Callable[[str], Sequence[str]] = lambda stream_id: ()
