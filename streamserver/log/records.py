"""The records of a log: how a generation started, its pieces in order, and how it ended.

The records are no wire format: :mod:`streamserver.wire` makes each of those from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from providers.base import DELTAS, AnsweringModel, BlockEnd, ContentEvent, Frame, Text, UsageDetails

RECORD_OVERHEAD_BYTES = 64
"""What a record counts for in ``resume.max_log_bytes``, besides its text in UTF-8."""


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """Token counts. ``estimated``: by this server from the lengths, because the provider reported none."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool


UNKNOWN_USAGE = TokenUsage(0, 0, 0, estimated=True)
"""The usage that wires show where nothing was counted: their clients demand numbers."""


class Start(msgspec.Struct, frozen=True, gc=False):
    """Record 0 of every log: what each replay of the stream, at any node, must repeat identically.

    ``created`` is in whole seconds since the epoch. ``wire`` is the name of the wire that the request came on,
    ``options`` what that wire needs to encode the answer again. ``user`` is the API key's name, empty for anonymous
    callers. Logs of the native wire hold no :class:`~providers.base.BlockEnd`, no :class:`~providers.base.Frame` and no
    :class:`~providers.base.AnsweringModel`, which is there only if it differs from ``model``.
    """

    stream_id: str
    request_id: str
    provider: str
    model: str
    created: int = 0
    keepalive_seconds: int | float = 15
    wire: str = "native"
    user: str = ""
    options: Mapping[str, Any] = {}


class ContinuedText(Text, frozen=True, gc=False):
    """Text that begins with the LF of a CRLF; its CR ended the text before it.

    Where the provider cut its answer is chance; without this mark a format that reads CRLF as
    one line end would have to look at the record before.
    """


class Done(msgspec.Struct, frozen=True, gc=False):
    """The answer is complete. Times in milliseconds from the stream's start; ``ttft_ms`` is None without a token."""

    finish_reason: str
    provider: str
    model: str
    usage: TokenUsage | None
    ttft_ms: float | None
    duration_ms: float
    usage_details: UsageDetails | None = None
    provider_reason: str | None = None
    stop_sequence: str | None = None


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The stream failed. ``code`` is one of :data:`streamserver.core.error_codes.FAILURES`; ``usage`` is None if
    nothing was sent to a provider, ``retry_after`` (seconds) if unknown."""

    code: str
    message: str
    retryable: bool
    retry_after: float | None
    request_id: str
    usage: TokenUsage | None
    abandoned: bool = False
    """It was cancelled because no reader was left."""
    param: str | None = None
    """The request's field that the provider cannot take, as the caller named it, where that is known."""
    usage_details: UsageDetails | None = None


NOT_BY_PRODUCER = frozenset({"producer_lost", "stream_expired"})
"""Codes of endings that another node wrote, which cannot know how far the producer had come: such an ending
has no number on the wire."""

Terminal: TypeAlias = Done | Failed
Piece: TypeAlias = ContentEvent | Frame | AnsweringModel
"""What a generation appends between the start and the end."""
Record: TypeAlias = Start | Piece | Terminal


def has_stable_offset(terminal: Terminal) -> bool:
    """Return whether the producer wrote this ending itself, so that its offset is the same for all readers."""
    return isinstance(terminal, Done) or terminal.code not in NOT_BY_PRODUCER


def has_piece(record: Record) -> bool:
    """Return whether ``record`` holds a piece of the answer, as opposed to its start, its end or a frame around it."""
    match record:
        case Frame():
            return bool(record.pieces)
        case BlockEnd():
            return record.opaque is not None
        case _:
            return isinstance(record, DELTAS)
