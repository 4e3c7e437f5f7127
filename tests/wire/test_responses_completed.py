"""Events that the copies of the Responses API leave out are written for the clients that read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.base import Frame
from providers.openai.responses_stream import ResponsesParser
from providers.parser import FrameParser
from streamserver.log.records import Done, Record
from streamserver.wire.responses import RESPONSES_WIRE, response_of
from tests.support.sse import parse
from tests.wire.test_every_wire import encode
from tests.wire.test_responses import BEGIN, USAGE

CREATED = {"type": "response.created", "response": {"id": "r", "object": "response", "output": []}}
PART = {"type": "output_text", "text": "Hello", "annotations": []}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [PART]}
CALL = {"id": "fc", "type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x":1}'}
OTHER = {**CALL, "id": "fc2", "call_id": "b"}


def completed(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = {**CREATED["response"], "status": "completed", "output": list(output), **fields}  # type: ignore[dict-item]
    return {"type": "response.completed", "response": response}


def event(kind: str, index: int | None = 0, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **({} if index is None else {"output_index": index}), **fields}


def delta(text: str, index: int | None = 0, item_id: str = "m") -> dict[str, Any]:
    return event("output_text.delta", index, item_id=item_id, delta=text)


def announced(item: dict[str, Any], index: int = 0) -> list[dict[str, Any]]:
    """Return the events of a call that is streamed."""
    return [
        event("output_item.added", index, item={**item, "arguments": ""}),
        event("function_call_arguments.delta", index, item_id=item["id"], delta=item["arguments"]),
        event("output_item.done", index, item=item),
    ]


HELLO, F = ("message", "Hello"), ("function_call", '{"x":1}')
FORMS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
    "items are not announced, and the Response has none": ([delta("Hel"), delta("lo"), completed()], [HELLO]),
    "no index": ([delta("Hel", None), delta("lo", None), completed()], [HELLO]),
    "the end of the text only": ([event("output_text.done", item_id="m", text="Hello"), completed(MESSAGE)], [HELLO]),
    "the end of the item only": ([event("output_item.done", item=MESSAGE), completed(MESSAGE)], [HELLO]),
    "the Response only": ([completed(MESSAGE, CALL)], [HELLO, F]),
    "a call in the Response only": ([delta("Hello"), completed(MESSAGE, CALL)], [HELLO, F]),
    "a text in the Response only": ([*announced(CALL), completed(MESSAGE, CALL)], [F, HELLO]),
    "two items at one index": ([*announced(CALL), *announced(OTHER), completed()], [F, F]),
    "each event twice": ([each for each in (*announced(CALL)[::2], completed(CALL)) for _ in "ab"][:-1], [F]),
    "another id with each event": (
        [delta("Hel"), delta("lo", item_id="m2"), event("output_item.done", item={**MESSAGE, "id": "m3"}), completed()],
        [HELLO],
    ),
    "response.done": ([delta("Hello"), {**completed(), "type": "response.done"}], [HELLO]),
    "an end without a Response": ([delta("Hello"), {"type": "response.completed"}], [HELLO]),
    "a status and an error that say nothing": (
        [delta("Hello"), completed(status="in_progress", error={"code": None})],
        [HELLO],
    ),
    "reasoning that is not announced": (
        [
            event("reasoning_summary_text.done", item_id="rs", summary_index=0, text="Hm"),
            delta("Hello", 1),
            completed(),
        ],
        [("reasoning", "Hm"), HELLO],
    ),
}


@pytest.mark.parametrize(("own", "items"), FORMS.values(), ids=FORMS)
def test_deltas_items_and_response_tell_the_same(own: list[dict[str, Any]], items: list[tuple[str, str]]) -> None:
    parser = FrameParser(ResponsesParser("m"), "responses")
    frames = [told for each in (CREATED, *own) for told in parser.events("", json.dumps(each).encode())]
    assert parser.finish().reason in ("stop", "tool_calls")
    records: list[Record] = [
        BEGIN,
        *(frame for frame in frames if isinstance(frame, Frame)),
        Done("stop", "up", "m", USAGE, 1.0, 2.0),
    ]
    told = [each.json() for each in parse(encode(RESPONSES_WIRE, records))]
    assert [each["sequence_number"] for each in told] == list(range(len(told)))
    assert _items(told) == items
    assert sorted((item["type"], _text(item)) for item in told[-1]["response"]["output"]) == sorted(items)
    response = response_of(records)
    assert (response["status"], response["error"]) == ("completed", None)
    assert response == told[-1]["response"]


def _items(told: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return type and text of each item, put together from deltas. Assert that each is announced and closed once."""
    types: dict[int, str] = {}
    texts: dict[int, str] = {}
    closed: list[int] = []
    for each in told:
        index, kind = int(each.get("output_index", -1)), each["type"]
        if kind == "response.output_item.added":
            assert index not in types
            types[index], texts[index] = each["item"]["type"], ""
        elif kind.endswith(".delta"):
            assert index not in closed
            texts[index] += each["delta"]
        elif kind == "response.output_item.done":
            closed.append(index)
            assert _text(each["item"]) == texts[index]
    assert sorted(closed) == sorted(types)
    return [(types[index], texts[index]) for index in sorted(types)]


def _text(item: dict[str, Any]) -> str:
    parts = (*(item.get("summary") or ()), *(item.get("content") or ()))
    return item.get("arguments") or "".join(part["text"] for part in parts)
