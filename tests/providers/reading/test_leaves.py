"""Every leaf of a recorded stream of each API, replaced by a value of every kind, one at a time."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest

from providers.errors import UpstreamDisconnected, UpstreamError
from tests.providers.reading.reading import Reading, read
from tests.providers.reading.recorded import STREAMS, encoded
from tests.support.json_values import REMOVED, replaced

Path: TypeAlias = tuple[str | int, ...]
VALUES: dict[str, Any] = {
    "null": None,
    "string": "x",
    "number": 7,
    "float": 1.5,
    "list": [1],
    "object": {"x": 1},
    "removed": REMOVED,
}


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from leaves(item, (*path, number))
    else:
        yield path


ODD: list[Any] = [
    *(None, "", "x", "stop", "error", 0, -1, 7, 1.5, 1e300, True, [], {}, [1], ["x"], [[]], [{}], {"x": 1}),
    *({"type": "text", "text": "t"}, {"function": []}, [{"function": {"name": []}}], {"error": {}}, [{"error": "x"}]),
]
CASES = [
    pytest.param(protocol, number, path, id=f"{protocol}-{number}-{'.'.join(map(str, path))}")
    for protocol, frames in STREAMS.items()
    for number, (_, data) in enumerate(frames)
    for path in leaves(data)
]


def in_doubt(protocol: str, kind: str, path: Path) -> set[str]:
    """Return what of an answer the value at ``path``, in a frame of that kind, alone carries."""
    name = next(step for step in reversed(path) if isinstance(step, str))
    match protocol, kind, name:
        case "chat", _, "content" | "refusal":
            return {"text"}
        case "chat", _, "reasoning_content":
            return {"reasoning"}
        case "chat", _, "index" if "tool_calls" not in path:
            return {"text", "reasoning", "calls", "finish"}  # a part of another choice
        case "chat", _, "arguments" | "id" | "name" if "tool_calls" in path:
            return {"calls"}
        case "chat", _, "delta" | "choices":
            return {"text", "reasoning", "calls"}
        case "chat", _, "finish_reason":
            return {"finish"}
        case "responses", "response.output_text.delta", "delta":
            return {"text"}
        case "responses", "response.reasoning_summary_text.delta", "delta":
            return {"reasoning"}
        case "responses", "response.function_call_arguments.delta", "delta":
            return {"calls"}
        case "responses", "response.output_item.added", "call_id" | "name":
            return {"calls"}
        case "responses", "response.reasoning_summary_part.added", "summary_index":
            return {"reasoning"}  # a summary of several parts has blank lines between them
        case "responses", "response.completed", "status" | "reason" | "error" | "incomplete_details":
            return {"finish"}
        case "messages", "content_block_delta", "text":
            return {"text"}
        case "messages", "content_block_delta", "thinking":
            return {"reasoning"}
        case "messages", "content_block_delta", "partial_json":
            return {"calls"}
        case "messages", "content_block_start", "type" | "id" | "name" | "input":
            return {"text", "reasoning", "calls"}
        case "messages", "content_block_start", "text" | "thinking":
            return {"text", "reasoning"}
        case "messages", "message_delta", "stop_reason":
            return {"finish"}
        case _, _, "model" | "stop_sequence":
            return {"finish"}
        case _:
            return set()


@pytest.mark.parametrize(("protocol", "number", "path"), CASES)
def test_a_leaf_of_another_type_takes_nothing_with_it(protocol: str, number: int, path: Path) -> None:
    frames = STREAMS[protocol]
    whole = read(protocol, encoded(frames))
    doubt = in_doubt(protocol, frames[number][0], path)
    for name, value in VALUES.items():
        reading = read(protocol, encoded(replaced(frames, (number, 1, *path), value)))
        _check(whole, reading, doubt, name)


def _check(whole: Reading, reading: Reading, doubt: set[str], name: str) -> None:
    assert (reading.finish is None) != (reading.error is None), "one ending"
    if reading.error is not None:
        # Text that cannot be read is no text left out; an end that cannot be read is none.
        expected = UpstreamError if doubt - {"finish"} else UpstreamDisconnected
        assert doubt and isinstance(reading.error, (expected, UpstreamDisconnected, UpstreamError)), name
        assert whole.text.startswith(reading.text)
        return
    for field in {"text", "reasoning", "calls"} - doubt:
        assert getattr(reading, field) == getattr(whole, field), name
    if "finish" not in doubt:
        assert reading.finish == whole.finish, name


def nodes(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of everything in ``value``, objects and lists included."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from nodes(item, (*path, key))


@pytest.mark.parametrize("seed", range(300))
@pytest.mark.parametrize("protocol", STREAMS)
def test_many_broken_values_end_in_an_answer_or_an_error(protocol: str, seed: int) -> None:
    chance = random.Random(seed)
    frames = STREAMS[protocol]
    for _ in range(chance.randint(2, 6)):
        number = chance.randrange(len(frames))
        path = chance.choice(list(nodes(frames[number][1])) or [("added",)])
        frames = replaced(frames, (number, 1, *path), chance.choice(ODD))
    if chance.random() < 0.3:
        chance.shuffle(frames)
    reading = read(protocol, encoded(frames))
    assert (reading.finish is None) != (reading.error is None)


@pytest.mark.parametrize("protocol", STREAMS)
def test_the_recorded_streams_are_read_whole(protocol: str) -> None:
    reading = read(protocol, encoded(STREAMS[protocol]))
    assert (reading.text, reading.reasoning) == ("Four", "Sum it.")
    assert reading.calls == [("call_a", "get_time", '{"tz":"UTC"}'), ("call_b", "get_date", '{"day":1}')]
    assert reading.finish is not None and reading.finish.reason == "tool_calls"
    assert reading.usage is not None and (reading.usage.prompt_tokens, reading.usage.completion_tokens) == (9, 7)
    assert reading.usage.details is not None and reading.usage.details.cached_tokens == 4


@pytest.mark.parametrize("protocol", STREAMS)
@pytest.mark.parametrize("data", ["null", "7", "[]", '"x"', ": keepalive", "ping", "{}", " ", "[1, {}]"])
def test_frames_without_an_answer_in_them_are_skipped(protocol: str, data: str) -> None:
    frames = encoded(STREAMS[protocol])
    whole = read(protocol, frames)
    for name in ("", "ping"):
        for place in range(len(frames)):
            assert read(protocol, [*frames[:place], (name, data.encode()), *frames[place:]]) == whole


@pytest.mark.parametrize("protocol", STREAMS)
@pytest.mark.parametrize("data", [b'{"choices":[{"del', b"{", b"[1,", b"\xff", b'{"x":"\xf0\x9f', b"[" * 60_000])
def test_truncated_and_invalid_json_is_an_error(protocol: str, data: bytes) -> None:
    reading = read(protocol, [*encoded(STREAMS[protocol][:1]), ("", data)])
    assert type(reading.error) is UpstreamError and reading.error.detail.reason == "not_json"


@pytest.mark.parametrize("marker", [" [DONE]", "[DONE] ", "\t[DONE]\t "])
@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_the_end_marker_is_one_with_blanks_around_it(protocol: str, marker: str) -> None:
    frames = [*encoded(STREAMS[protocol]), ("", marker.encode()), ("", b"{")]
    assert read(protocol, frames).finish == read(protocol, encoded(STREAMS[protocol])).finish


def test_every_value_is_of_a_kind_of_its_own() -> None:
    assert len({json.dumps(value) for value in VALUES.values() if value is not REMOVED}) == len(VALUES) - 1
