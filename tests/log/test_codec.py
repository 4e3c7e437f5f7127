"""Records as bytes: a replay on another node is byte for byte the same."""

from __future__ import annotations

import pytest

from streamserver.log.codec import decode, encode
from streamserver.log.records import Start


@pytest.mark.parametrize("seconds", [15, 15.0, 0.5])
def test_a_number_keeps_its_type_on_the_way(seconds: float) -> None:
    start = Start("id", "request-1", "echo", "echo", keepalive_seconds=seconds)
    (there,) = decode(encode([start]))
    assert isinstance(there, Start)
    assert repr(there.keepalive_seconds) == repr(seconds), "`15` and `15.0` are different bytes in an event"
