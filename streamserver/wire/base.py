"""The interface of a wire format: how one protocol writes streams, whole answers, failures and refusals.

Everything here is pure: records and refusals in, bytes out. :mod:`streamserver.http` sends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from streamserver.core.refusals import Refusal
from streamserver.log.records import Failed, Record, Start

MAX_BATCH_BYTES = 64 * 1024
"""The most that one write carries, unless a single record is larger."""


class HTTPAnswer(msgspec.Struct, frozen=True):
    """A whole HTTP response: ``body`` in ``content_type``, with ``headers`` of its own."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


class Encoder(Protocol):
    """An encoder of one response: a fold over the records of one log, with a small state.

    Guarantees:

    - It is given the records from :attr:`offset` on, in order, each once. Each record gives a fixed sequence of
      bytes, however the records were batched: the same log always gives the same bytes.
    - An encoder that was made to resume gives what follows the client's position in those bytes, and nothing else.
    - A keepalive changes no position.
    """

    keepalive: bytes
    """Sent after a silence; every client of the wire ignores it."""
    offset: int
    """The offset of the first record that the encoder is to be given."""

    def encode(self, offset: int, records: Sequence[Record]) -> tuple[bytes, int]:
        """Return the bytes of the first of ``records``, which begin at ``offset``, and how many records they are.

        At least one record is encoded, and no more after :data:`MAX_BATCH_BYTES`. The bytes may be empty: not every
        record is visible on every wire.
        """
        ...

    def encode_failure(self, failed: Failed) -> bytes:
        """Return a terminal event that is in no log: of a response that failed by itself.

        It closes whatever the encoder has opened, so that the response has the wire's own ending.
        """
        ...


class Wire(Protocol):
    """One wire format."""

    name: str
    """As :attr:`~streamserver.log.records.Start.wire`, the record and the metrics have it."""
    commit: Literal["at_once", "first_piece"]
    """When the status and headers of a stream are sent: before the provider is asked, or held until the first piece
    (or the failure), so that a failure before it is a true HTTP status."""
    headers: Mapping[str, str]
    """Headers of its streams, besides those of every stream."""
    ends_with_terminal: bool
    """Whether the body of a stream ends in the packet of its terminal event. False if a handler has to store something
    first, which a client may ask for as soon as the body has ended."""

    def encoder(self, start: Start, resume_after: int | None = None) -> Encoder:
        """Return the encoder of a new response. ``resume_after`` is the number of the last event that the client has,
        on wires that number their events; None: it has none."""
        ...

    def whole(self, records: Sequence[Record]) -> HTTPAnswer:
        """Return the answer to a request that does not stream, from all records of a log that has ended."""
        ...

    def failure(self, failed: Failed) -> HTTPAnswer:
        """Return the answer for a stream that failed before its response was begun."""
        ...

    def refusal(self, refusal: Refusal, request_id: str) -> HTTPAnswer:
        """Return the answer for a request that starts no stream."""
        ...


def join_batch(parts: Iterable[bytes]) -> tuple[bytes, int]:
    """Return the first of ``parts``, joined, and how many they are: no more after :data:`MAX_BATCH_BYTES`.

    ``parts`` are the bytes of one record each, and are made as they are taken: no record is encoded that is not sent.
    """
    taken: list[bytes] = []
    size = 0
    for part in parts:
        taken.append(part)
        size += len(part)
        if size >= MAX_BATCH_BYTES:
            break
    return b"".join(taken), len(taken)
