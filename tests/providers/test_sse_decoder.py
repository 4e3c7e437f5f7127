"""Whatever a provider sends and however the network cuts it, the payloads are those of the standard."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers import sse
from providers.errors import UpstreamError
from providers.sse import HOLD_BYTES, MAX_EVENT_BYTES, ServerSentEvent, SSEDecoder
from tests.support.properties import examples


def events_by_the_standard(stream: bytes) -> list[ServerSentEvent]:
    """Return the name and the data of every event that is dispatched, by WHATWG HTML, 9.2.6, line by line.

    One thing is beyond it: an event without data has the lines that begin like a JSON object.
    """
    events: list[ServerSentEvent] = []
    data: list[bytes] = []
    bare: list[bytes] = []
    event = ""
    for line in lines_by_the_standard(stream.removeprefix(b"\xef\xbb\xbf")):
        if not line:
            if data or bare:
                events.append((event, b"\n".join(data or bare)))
            data, bare, event = [], [], ""
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ").decode(errors="replace")
        elif line.startswith(b"{"):
            bare.append(line)
    return events


def lines_by_the_standard(stream: bytes) -> Iterator[bytes]:
    """Yield every line that an end closes: LF, CR, or CR and LF."""
    line = b""
    position = 0
    while position < len(stream):
        sign = stream[position : position + 1]
        position += 1
        if sign == b"\r" and stream[position : position + 1] == b"\n":
            position += 1
        if sign in (b"\r", b"\n"):
            yield line
            line = b""
        else:
            line += sign


def decode(stream: bytes, cuts: list[int]) -> list[ServerSentEvent]:
    decoder, events, begin = SSEDecoder(), [], 0
    for end in [*sorted(cuts), len(stream)]:
        events += decoder.feed(stream[begin : max(begin, end)])
        begin = max(begin, end)
    return events


PARTS = st.sampled_from(
    (
        *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"data", b"data:", b"data: ", b"data:  ", b"datax: "),
        *(
            b"Data:",
            b" data: x",
            b":",
            b": ping",
            b"event: x",
            b"event:",
            b"event",
            b"event: \xff",
            b"id: 1",
            b"retry: 1",
            b"x",
            b"{}",
            b"\0",
            b"[DONE]",
        ),
        *(b"event: x", b"event:", b"event", b"event: \xff"),
        *(b"\xef\xbb\xbf", b"\xff", "é\u2028\x85".encode(), b"\x0b\x0c\x1c"),
    )
)
STREAMS = st.lists(PARTS, max_size=25).map(b"".join)


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 120), max_size=12))
@example(stream=b"\xef\xbb\xbfdata: x\n\n", cuts=[1, 2])
@example(stream=b"\xef\xbbdata: x\n\ndata: y\n\n", cuts=[1, 2])
@example(stream=b"data: a\r\n\r\ndata: b\r\n\r\n", cuts=[8, 9, 10])
@example(stream=b"data: a\r\rdata: b\r\r\n", cuts=[8, 9, 10])
@example(stream=b"data: a\n\ndata: b\ndata: c\n\n", cuts=[9, 17])
@example(stream=b"data: a\n\ndata: b\n\ndata: c\n\n", cuts=[9])
@example(stream=b"data: a\n\ndata: b\r\rdata: c\n\n", cuts=[9])
@examples(500)
def test_decoder_follows_the_standard_however_the_stream_is_cut(stream: bytes, cuts: list[int]) -> None:
    assert decode(stream, cuts) == events_by_the_standard(stream)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sse, "HOLD_BYTES", 3)
        assert decode(stream, cuts) == events_by_the_standard(stream)


@given(stream=STREAMS)
@examples(200)
def test_decoder_follows_the_standard_when_bytes_come_one_by_one(stream: bytes) -> None:
    assert decode(stream, list(range(len(stream)))) == events_by_the_standard(stream)


@given(texts=st.lists(st.binary(max_size=60).filter(lambda text: not {10, 13} & set(text)), max_size=10))
def test_decoder_returns_any_bytes_of_a_payload(texts: list[bytes]) -> None:
    stream = b"".join(b"data: " + text + b"\n\n" for text in texts)
    assert decode(stream, []) == [("", text) for text in texts]


def test_decoder_drops_an_event_without_its_blank_line() -> None:
    assert decode(b"data: a\n\ndata: b\n", []) == [("", b"a")]


def test_decoder_returns_an_event_as_soon_as_its_blank_line_came() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r\n\r") == [("", b"a")]
    assert decoder.feed(b"\ndata: b\n\n") == [("", b"b")]


@pytest.mark.parametrize("size", [1024, 65536])
def test_decoder_raises_when_an_event_is_too_large(size: int) -> None:
    decoder = SSEDecoder()
    chunk = b"x" * size
    fed = 0
    with pytest.raises(UpstreamError):
        while fed < 2 * MAX_EVENT_BYTES:
            decoder.feed(chunk)
            fed += size
    assert fed <= MAX_EVENT_BYTES


def test_decoder_limits_one_event_and_not_many_together() -> None:
    decoder = SSEDecoder()
    chunk = b"data: " + b"x" * 1_000_000 + b"\n\n"
    assert sum(len(decoder.feed(chunk)) for _ in range(3 * MAX_EVENT_BYTES // len(chunk))) > 40


def bytes_touched(chunks: list[bytes]) -> int:
    """Return how many bytes the decoder's splits and replacements went over."""
    touched = 0

    def count(frame: object, event: str, called: Any) -> None:
        nonlocal touched
        if event == "c_call" and called.__name__ in ("split", "replace", "partition", "find", "splitlines"):
            touched += len(called.__self__)

    decoder = SSEDecoder()
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for chunk in chunks:
            decoder.feed(chunk)
    finally:
        sys.setprofile(before)
    return touched


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(
    "payload", [b"x" * 200_000, b"x\n" * 100_000, b"data: y\n" * 25_000], ids=["one", "lf", "data"]
)
def test_decoder_cost_is_linear_in_the_bytes(payload: bytes, line_end: bytes) -> None:
    stream = (b"data: " + payload + b"\n\n").replace(b"\n", line_end)
    sizes = random.Random(1)
    chunks, begin = [], 0
    while begin < len(stream):
        size = sizes.choice([1, 7, 64, 1400])
        chunks.append(stream[begin : begin + size])
        begin += size
    # Each byte once as its line end is unified (twice over), once to find events, once to find lines.
    assert bytes_touched(chunks) <= 5 * len(stream)


@given(
    blocks=st.lists(
        st.lists(st.sampled_from([b"data: x", b"data: ", b"data:y", b": z", b"event: e", b"", b"data"]), max_size=3),
        max_size=6,
    ),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=1, max_size=3),
)
def test_decoder_returns_the_same_events_when_each_comes_in_a_chunk_of_its_own(
    blocks: list[list[bytes]], ends: list[bytes]
) -> None:
    chunks = []
    for number, lines in enumerate(blocks):
        end = ends[number % len(ends)]
        chunks.append(b"".join(line + end for line in lines) + end)
    stream = b"".join(chunks)
    decoder = SSEDecoder()
    assert [event for chunk in chunks for event in decoder.feed(chunk)] == SSEDecoder().feed(stream)


def test_decoder_accepts_any_rest_of_a_stream_that_began_well() -> None:
    decoder = SSEDecoder()
    decoder.feed(b": ping\n\n")
    assert decoder.feed(b"data: x\n\n") == [("", b"x")]
    decoder.feed(b"garbage")
    decoder.end()


@pytest.mark.parametrize("line", [b":\n", b"data:\n", b"x\n", b"id: 1\r\n"])
def test_the_work_for_a_large_event_is_done_as_it_arrives(line: bytes) -> None:
    """Read at its end alone, 15 MB of short lines would keep every other stream waiting for seconds."""
    decoder = SSEDecoder()
    flood = line * (sse.HOLD_BYTES // len(line))
    began = time.process_time()
    for _ in range(MAX_EVENT_BYTES // len(flood) - 1):
        decoder.feed(flood)
    arriving = time.process_time() - began
    began = time.process_time()
    events = decoder.feed(b"data: end\n\n")
    assert time.process_time() - began < arriving / 4
    assert len(events) == 1 and events[0][1].endswith(b"end")


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_a_page_of_any_size_is_no_stream(size: int) -> None:
    decoder = SSEDecoder()
    for begin in range(0, size, 50):
        decoder.feed(b"<p>hello</p>\n<p>world</p>\n".ljust(min(50, size - begin)))
    with pytest.raises(UpstreamError):
        decoder.end()


@pytest.mark.parametrize("size", [1000, 2 * HOLD_BYTES])
def test_event_that_is_not_closed_is_there_whatever_its_size(size: int) -> None:
    decoder, data = SSEDecoder(), b"event: response.completed\ndata: " + b"x" * size + b"\n"
    for begin in range(0, len(data), 16 * 1024):
        assert decoder.feed(data[begin : begin + 16 * 1024]) == []
    assert decoder.unclosed_event() == ("response.completed", b"x" * size)
