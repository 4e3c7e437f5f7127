"""The native wire: the encoder of its streams, and its refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from streamserver.core.refusals import Refusal
from streamserver.log.records import Failed, Record, Start
from streamserver.wire.base import Encoder, HTTPAnswer
from streamserver.wire.native import NAME, NativeEncoder, NativeFoldEncoder
from streamserver.wire.problem import render


class NativeWire:
    """The native :class:`~streamserver.wire.base.Wire`. Every answer is a stream, and its failure an event in it."""

    name = NAME
    commit: Literal["at_once", "first_piece"] = "at_once"
    headers: Mapping[str, str] = {}
    ends_with_terminal = True

    def encoder(self, start: Start, resume_after: int | None = None) -> Encoder:
        if start.wire != NAME:
            return NativeFoldEncoder(start.stream_id, resume_after)
        return NativeEncoder(start.stream_id, 0 if resume_after is None else resume_after + 1)

    def whole(self, records: Sequence[Record]) -> HTTPAnswer:
        raise NotImplementedError("the native wire has no whole answers")

    def failure(self, failed: Failed) -> HTTPAnswer:
        raise NotImplementedError("a failure on the native wire is an event")

    def refusal(self, refusal: Refusal, request_id: str) -> HTTPAnswer:
        return render(refusal, request_id)


NATIVE_WIRE = NativeWire()
