"""Frames that are told by their shape are read as if they had been decoded."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.answer import AnswerParser
from providers.anthropic.events import MessagesParser
from providers.base import Event, Frame, Reasoning, Text
from providers.errors import ProviderError
from providers.openai.chat_stream import ChatParser
from providers.parser import FrameParser, StreamParser
from providers.token_shape import TokenShape

TEXTS = st.sampled_from(
    [
        *(" a", "word", "Zürich", "日本", "\U0001f600", "\ud83d"),
        *('"', "\\", "\n", "\r", "\r\n", "\t", "\x00", "\x85", "\u2028", "\xa0"),
        *("content", "index", ":", ",", ":null", "a probe", 'a","finish_reason":"stop', ""),
    ]
)


def token(
    text: str, field: str = "content", finish: str | None = None, index: int = 0, **fields: Any
) -> dict[str, Any]:
    """Return a chunk with ``text`` in one field of its delta."""
    choice = {"index": index, "delta": {field: text}, "logprobs": None, "finish_reason": finish}
    return {"id": "c-1", "model": "m", **fields, "choices": [choice], "usage": None}


def delta(text: str, kind: str = "text", index: int = 0, **fields: Any) -> dict[str, Any]:
    """Return an event of the Messages API with a piece of a block."""
    return {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", kind: text, **fields}}


def block(event: str, index: int = 0, kind: str = "text") -> dict[str, Any]:
    return {"type": event, "index": index, "content_block": {"type": kind}}


CHUNKS = st.one_of(
    st.builds(token, TEXTS),
    st.builds(token, TEXTS),
    st.builds(token, TEXTS, st.sampled_from(["reasoning", "reasoning_content", "refusal"])),
    st.builds(token, TEXTS, finish=st.sampled_from(["stop", "null", "ok"])),
    st.builds(token, TEXTS, index=st.just(1)),
    st.builds(token, TEXTS, id=TEXTS),
    st.builds(lambda text: {**token(text), "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, TEXTS),
    st.builds(lambda text: {"choices": [{"message": {"content": text}}]}, TEXTS),
    st.builds(lambda text: {"choices": [{"delta": {"content": text, "reasoning": text}}]}, TEXTS),
    st.builds(lambda text: {"choices": [{"delta": {"content": [{"type": "text", "text": text}]}}]}, TEXTS),
)
MESSAGES = st.one_of(
    st.builds(delta, TEXTS, st.sampled_from(["text", "text", "thinking"]), st.integers(0, 1)),
    st.builds(delta, TEXTS, signature=st.just("s")),
    st.builds(
        block,
        st.sampled_from(["content_block_start", "content_block_stop"]),
        st.integers(0, 1),
        st.sampled_from(["text", "thinking", "tool_use"]),
    ),
    st.just({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}),
)


def encoded(value: dict[str, Any], ascii_only: bool, spaced: bool) -> bytes:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=None if spaced else (",", ":"))
    return text.encode("utf-8", "replace")


def read(
    parser: StreamParser, frames: list[tuple[str, bytes]], *, alone: bool = False
) -> tuple[list[list[Event]], str | None]:
    """Return what each frame says, and the code of the error that ended it. ``alone``: each comes as a whole event."""
    told: list[list[Event]] = []
    try:
        for name, data in frames:
            shape = parser.event_shape if alone else None
            token = None if shape is None else shape.token_in(sse_event(name, data))
            told.append([token] if token is not None else list(parser.events(name, data)))
            if alone and shape is None:
                parser.expect_alone()
    except ProviderError as error:
        return told, error.code
    return told, None


def sse_event(name: str, data: bytes) -> bytes:
    return (b"event: %b\n" % name.encode() if name else b"") + b"data: %b\n\n" % data


def without_shapes(told: list[list[Event]]) -> list[list[Event]]:
    return [
        [
            Frame(event.protocol, event.type, event.data, event.pieces) if isinstance(event, Frame) else event
            for event in frame
        ]
        for frame in told
    ]


@pytest.mark.parametrize("framed", [False, True], ids=["pieces", "frames"])
@given(st.lists(CHUNKS, max_size=12), st.booleans(), st.booleans(), st.sampled_from(["", "", "error", "chunk"]))
@example([token("a"), token("b"), token("c", finish="stop")], False, False, "")
@example([token("a"), token("b"), token("c", finish="ok")], False, False, "")
@example([token(":"), token("content"), token('"'), token("b")], False, False, "")
def test_chunks_are_read_the_same_by_their_shape(
    framed: bool, chunks: list[dict[str, Any]], ascii_only: bool, spaced: bool, name: str
) -> None:
    frames = [(name, encoded(chunk, ascii_only, spaced)) for chunk in chunks]
    learning, decoding = ChatParser(), ChatParser()
    decoding.learn = _nothing  # type: ignore[method-assign, assignment]
    compare(learning, decoding, "chat", frames, framed)


@pytest.mark.parametrize("framed", [False, True], ids=["pieces", "frames"])
@given(st.lists(MESSAGES, max_size=12), st.booleans(), st.booleans(), st.sampled_from(["", "content_block_delta"]))
@example([block("content_block_start"), delta("a"), delta("b"), delta("c")], False, False, "")
@example(
    [block("content_block_start"), delta("a"), delta("b"), block("content_block_stop"), delta("c")], False, False, ""
)
def test_events_of_messages_are_read_the_same_by_their_shape(
    framed: bool, events: list[dict[str, Any]], ascii_only: bool, spaced: bool, name: str
) -> None:
    frames = [(name, encoded(event, ascii_only, spaced)) for event in events]
    learning, decoding = MessagesParser("m"), MessagesParser("m")
    decoding.learn = _nothing  # type: ignore[method-assign, assignment]
    compare(learning, decoding, "messages", frames, framed)


def compare(learning: Any, decoding: Any, protocol: Any, frames: list[tuple[str, bytes]], framed: bool) -> None:
    reading_alone = copy.deepcopy(learning)
    a, b, c = (FrameParser(parser, protocol) if framed else parser for parser in (learning, decoding, reading_alone))
    decoded = read(b, frames)
    for told, code in (read(a, frames), read(c, frames, alone=True)):
        assert (without_shapes(told), code) == decoded
    for name in ("model", "complete", "has_text", "has_ended", "is_unreadable"):
        assert getattr(learning, name) == getattr(decoding, name) == getattr(reading_alone, name)


def _nothing(*arguments: object) -> None:
    """Learn nothing."""


def test_a_token_is_told_by_its_shape() -> None:
    parser = ChatParser()
    frames = [encoded(token(text), False, False) for text in ("a", "b", 'c"')]
    parser.events("", frames[0])
    assert parser.shape is not None
    assert parser.shape.token_in(frames[1]) == Text("b")
    assert parser.shape.token_in(frames[2]) is None
    assert parser.shape.token_in(frames[1], "error") is None
    assert parser.shape.token_in(frames[1].replace(b'"b"', b'"\xff"')) is None
    assert parser.shape.token_in(frames[1].replace(b'"b"', b'"\r"')) is None  # which is for the log to look at
    assert parser.shape.token_in(encoded(token("b", finish="stop"), False, False)) is None


@pytest.mark.parametrize("framed", [False, True], ids=["pieces", "frames"])
def test_a_token_that_comes_alone_is_told_by_the_shape_of_its_event(framed: bool) -> None:
    learning = MessagesParser("m")
    parser = FrameParser(learning, "messages") if framed else learning
    frames = [("content_block_delta", encoded(delta(text), False, False)) for text in ("a", "b", "\n")]
    list(parser.events("content_block_start", encoded(block("content_block_start"), False, False)))
    list(parser.events(*frames[0]))
    assert parser.event_shape is None
    parser.expect_alone()
    shape = parser.event_shape
    assert shape is not None
    assert shape.token_in(sse_event(*frames[1])) == next(iter(parser.events(*frames[1])))
    assert shape.token_in(sse_event("", frames[1][1])) is None
    assert shape.token_in(sse_event(*frames[1])[:-1]) is None
    assert shape.token_in(sse_event(*frames[2])) is None
    assert shape.token_in(sse_event(*frames[1]) * 2) is None
    assert shape.token_in(sse_event(*frames[1]).replace(b'"b"', b'"\n\n"')) is None
    list(parser.events("content_block_stop", encoded(block("content_block_stop"), False, False)))
    assert parser.event_shape is None


@pytest.mark.parametrize("parser", [ChatParser(), MessagesParser("m")], ids=["chat", "messages"])
def test_no_more_shapes_are_learned_when_all_frames_differ(parser: AnswerParser) -> None:
    asked: list[str] = []

    def has_token(data: bytes, text: str) -> bool:
        asked.append(text)
        return True

    for number in range(20):
        text = f"token {number}"
        parser.learn("", b'{"n":%d,"text":"%b"}' % (number, text.encode()), Text(text), has_token)
    assert len(asked) < 10
    assert parser.shape is None


def test_a_string_that_only_looks_like_the_token_gives_no_shape() -> None:
    parser = ChatParser()
    parser.events("", b'{"system_fingerprint":"a","choices":[{"delta":{"content":"\\u0061"}}]}')
    assert parser.shape is None


def test_shape_of_text_that_is_twice_in_a_frame_is_unknown() -> None:
    data = b'{"choices":[{"delta":{"content":"a","reasoning":"a"}}]}'
    assert TokenShape.of("", data, Text("a")) is None
    assert TokenShape.of("", data, Reasoning("b")) is None


@pytest.mark.parametrize("noise", [b": keepalive", b"null", b'{"choices":[{"delta":{"content":"\t"}}]}'])
def test_shape_is_learned_after_a_frame_that_is_no_json_by_the_letter(noise: bytes) -> None:
    parser = ChatParser()
    parser.events("", noise)
    parser.events("", encoded(token("a"), False, False))
    assert parser.shape is not None


@pytest.mark.parametrize("noise", [b": keepalive", b"null"])
def test_frame_after_one_that_is_no_object_stays_as_it_came(noise: bytes) -> None:
    parser = FrameParser(ChatParser(), "chat")
    assert parser.events("", noise) == ()
    data = b'{"choices": [{"delta": {"content": "\\u0061"}}], "cost": 1e-3}'
    assert list(parser.events("", data)) == [Frame("chat", "", data, (Text("a"),))]
