"""Logs of answers in a wire's own protocol: a provider's frames as its parser reads them, whole or cut anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from providers.answer import AnswerParser
from providers.anthropic.events import MessagesParser
from providers.base import ApiProtocol, Frame
from providers.openai.chat_stream import ChatParser
from providers.openai.responses_stream import ResponsesParser
from providers.parser import FrameParser
from streamserver.log.records import Record, Start
from tests.faults import anthropic_streams, openai_streams, responses_streams
from tests.support.records import DONE, FAILED, START
from tests.support.sse import parse

_ANSWERS: Mapping[ApiProtocol, str] = {
    "chat": openai_streams.ANSWER,
    "messages": anthropic_streams.ANSWER,
    "responses": responses_streams.ANSWER,
}


def own_frames(protocol: ApiProtocol) -> list[Frame]:
    """Return the frames of a whole answer."""
    parsers: dict[str, AnswerParser] = {
        "chat": ChatParser(),
        "messages": MessagesParser("m"),
        "responses": ResponsesParser("m"),
    }
    parser = FrameParser(parsers[protocol], protocol)
    events = [
        event
        for block in parse(_ANSWERS[protocol].encode())
        for event in parser.events("" if block.type == "message" else block.type, block.data.encode())
    ]
    return [event for event in events if isinstance(event, Frame)]


def own_logs(wire: str) -> st.SearchStrategy[list[Record]]:
    """Return whole logs of a stream that came on ``wire``, over a provider of its protocol."""
    protocols: dict[str, ApiProtocol] = {"messages": "messages", "responses": "responses"}
    frames: Sequence[Record] = own_frames(protocols.get(wire, "chat"))
    start = st.builds(
        Start,
        st.just(START.stream_id),
        st.just("r"),
        st.just("up"),
        st.just("m"),
        created=st.just(1),
        wire=st.just(wire),
        options=st.sampled_from([{}, {"include_usage": True}, {"background": True}]),
    )
    cut = st.builds(lambda count: [*frames[:count], FAILED], st.just(len(frames)) | st.integers(0, len(frames)))
    return st.builds(lambda start, rest: [start, *rest], start, st.just([*frames, DONE]) | cut)
