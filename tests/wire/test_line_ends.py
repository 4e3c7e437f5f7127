"""Where a provider cuts its answer is chance, and no client may see it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from hypothesis import example, given
from hypothesis import strategies as st

from providers.base import ChatRequest, Event, Finish, Message, Text
from streamserver.core.generation import Generation, Outcome
from streamserver.log.memory import MemoryLog
from streamserver.wire.native import NativeEncoder
from tests.contracts.encoder import encode_all
from tests.support.clock import FakeClock
from tests.support.records import START
from tests.support.sse import parse, text_of

REQUEST = ChatRequest(messages=[Message(role="user", content="x")], model="echo", max_tokens=10)


class Pieces:
    """A provider that answers in these pieces."""

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        for piece in self._pieces:
            yield Text(piece)
        yield Finish("stop")

    async def aclose(self) -> None:
        pass


@given(pieces=st.lists(st.sampled_from(["", "a", "\r", "\n", "\r\n", "b\r", "\nc"]), max_size=8))
@example(pieces=["a\r", "", "\nb"])
async def test_a_crlf_is_one_line_end_however_the_provider_cuts_it(pieces: list[str]) -> None:
    log = MemoryLog(START)
    ended: list[Outcome] = []
    await Generation(
        log=log,
        provider=Pieces(pieces),
        request=REQUEST,
        key_name="",
        total=10,
        clock=FakeClock(),
        on_end=ended.append,
    ).run()
    text = text_of(parse(encode_all(NativeEncoder(log.stream_id), log.take(0, 1000))))
    assert text == "".join(pieces).replace("\r\n", "\n").replace("\r", "\n")
    assert [outcome.terminal for outcome in ended] == [log.terminal]
