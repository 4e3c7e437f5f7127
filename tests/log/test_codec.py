"""Records as bytes: a replay on another node is byte for byte the same."""

from __future__ import annotations

import pytest

from providers.base import Frame, Text
from streamserver.log.codec import decode, encode
from streamserver.log.records import Start


@pytest.mark.parametrize("seconds", [15, 15.0, 0.5])
def test_a_number_keeps_its_type_on_the_way(seconds: float) -> None:
    start = Start("id", "request-1", "echo", "echo", keepalive_seconds=seconds)
    (there,) = decode(encode([start]))
    assert isinstance(there, Start)
    assert repr(there.keepalive_seconds) == repr(seconds), "`15` and `15.0` are different bytes in an event"


def test_a_frame_with_half_a_character_in_a_piece_is_readable_there() -> None:
    (there,) = decode(encode([Frame("chat", "", b"{}", (Text("a\ud83d"),))]))
    assert there == Frame("chat", "", b"{}", (Text("a\ufffd"),))
