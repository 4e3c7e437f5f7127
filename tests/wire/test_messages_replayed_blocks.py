"""A provider's own content blocks are replayed so that both SDKs can read them, however a gateway sends them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.base import Frame
from streamserver.wire.messages_replayed_blocks import ReplayedBlocks
from tests.support.sse import parse

TYPES = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}
FIELDS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
BLOCKS: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
    "tool_use": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
}


def frame(name: str, index: int | None, **fields: Any) -> Frame:
    place = {} if index is None else {"index": index}
    return Frame("messages", name, json.dumps({"type": name, **place, **fields}).encode())


def start(index: int | None, kind: str = "text", **fields: Any) -> Frame:
    return frame("content_block_start", index, content_block={**BLOCKS[kind], **fields})


def delta(index: int | None, text: str, kind: str = "text") -> Frame:
    return frame("content_block_delta", index, delta={"type": TYPES[kind], FIELDS[TYPES[kind]]: text})


def stop(index: int | None) -> Frame:
    return frame("content_block_stop", index)


def replay(*frames: Frame) -> tuple[bytes, list[tuple[str, str]]]:
    """Return the events of ``frames``, and the type and the text of each block, read as strictly as both SDKs do."""
    blocks = ReplayedBlocks()
    data = b"".join(map(blocks.add, frames)) + blocks.end()
    found: list[list[str]] = []
    is_open = False
    for event in parse(data):
        fields = event.json()
        assert event.type == fields["type"]
        match fields:
            case {"type": "content_block_start", "content_block": block}:
                assert not is_open and fields["index"] == len(found)
                assert BLOCKS[block["type"]].keys() - {"id", "name"} <= block.keys() and None not in block.values()
                found.append([block["type"], ""])
            case {"type": "content_block_delta", "delta": part}:
                assert is_open and fields["index"] == len(found) - 1
                found[-1][1] += part[FIELDS[part["type"]]]
            case _:
                assert is_open and fields["index"] == len(found) - 1
        is_open = fields["type"] != "content_block_stop"
    assert not is_open
    return data, [(kind, text) for kind, text in found]


GOOD = (start(0, "thinking"), delta(0, "Hm", "thinking"), stop(0), start(1), delta(1, "Fo"), delta(1, "ur"), stop(1))


def test_blocks_in_order_pass_as_they_came() -> None:
    data, _ = replay(*GOOD)
    assert data == b"".join(b"event: %b\ndata: %b\n\n" % (each.type.encode(), each.data) for each in GOOD)


FOUR = [("text", "Four")]
CALLS = [("tool_use", '{"a":1}'), ("tool_use", '{"b":2}')]


@pytest.mark.parametrize(
    ("frames", "blocks"),
    [
        ((start(1), delta(1, "Fo"), delta(1, "ur"), stop(1)), FOUR),
        ((start(0), delta(0, "a"), stop(0), start(2), delta(2, "b"), stop(2)), [("text", "a"), ("text", "b")]),
        ((start(0), delta(0, "a"), stop(0), start(0), delta(0, "b"), stop(0)), [("text", "a"), ("text", "b")]),
        ((start(None), delta(None, "Four"), stop(None)), FOUR),
        ((delta(0, "Four"), stop(0)), FOUR),
        ((delta(0, "Hm", "thinking"), stop(0)), [("thinking", "Hm")]),
        ((start(0), delta(0, "Four")), FOUR),
        ((start(0), delta(0, "a"), start(1), delta(1, "b")), [("text", "a"), ("text", "b")]),
        ((start(0, text=None), delta(0, "Four"), stop(0)), FOUR),
        ((start(0), delta(0, "Four"), stop(0), stop(0)), FOUR),
        (
            (
                start(0, "tool_use"),
                start(1, "tool_use"),
                delta(0, '{"a":', "tool_use"),
                delta(1, '{"b":', "tool_use"),
                delta(0, "1}", "tool_use"),
                delta(1, "2}", "tool_use"),
                stop(1),
                stop(0),
            ),
            CALLS,
        ),
    ],
    ids=[
        *(
            "from 1",
            "gap",
            "same number",
            "no number",
            "no start",
            "no start of thinking",
            "no stop",
            "next without stop",
        ),
        *("no text", "two stops", "calls overlap"),
    ],
)
def test_blocks_of_a_gateway_are_numbered_begun_and_ended(
    frames: tuple[Frame, ...], blocks: list[tuple[str, str]]
) -> None:
    assert replay(*frames)[1] == blocks


kinds = st.sampled_from(["text", "thinking", "tool_use"])
indices = st.none() | st.integers(0, 2)
frames = st.one_of(
    st.builds(start, indices, kinds),
    st.builds(delta, indices, st.sampled_from(["a", "b", "c"]), st.just("text")),
    st.builds(stop, indices),
)


@given(st.lists(frames, max_size=12))
def test_any_frames_of_blocks_are_replayed_in_order_and_whole(found: list[Frame]) -> None:
    _, blocks = replay(*found)
    sent = [json.loads(each.data)["delta"]["text"] for each in found if each.type == "content_block_delta"]
    assert sorted("".join(text for _, text in blocks)) == sorted(sent)
