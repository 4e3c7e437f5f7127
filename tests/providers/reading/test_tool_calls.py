"""A tool call's id, name and arguments are told once, whatever the provider repeats, leaves out, or sends late."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.base import ToolCall, Usage
from providers.openai.chat_stream import ChatParser
from tests.providers.reading.reading import Reading, events, read, sse

A = ("call_a", "get_weather", '{"city":"A"}')
B = ("call_b", "get_weather", '{"city":"B"}')


def chat(*deltas: dict[str, Any], finish: str = "tool_calls") -> Reading:
    """Return what is read of chunks with these deltas."""
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return read("chat", sse(*chunks, end, "[DONE]"))


def called(*pieces: dict[str, Any]) -> Reading:
    """Return what is read of pieces of tool calls, each in a chunk of its own."""
    return chat(*({"tool_calls": [piece]} for piece in pieces))


def piece(call_id: str | None, name: str | None, arguments: Any, **fields: Any) -> dict[str, Any]:
    return {"id": call_id, "function": {"name": name, "arguments": arguments}, **fields}


FORMS: dict[str, list[dict[str, Any]]] = {
    "empty strings are repeated": [
        piece("call_a", "get_weather", "", index=0),
        piece("", "", '{"city":', index=0),
        piece("", "", '"A"}', index=0),
    ],
    "id and name are repeated": [
        piece("call_a", "get_weather", "", index=0),
        piece("call_a", "get_weather", '{"city":"A"}', index=0),
    ],
    "the name comes late": [
        piece("call_a", "", "", index=0),
        piece("call_a", "get_weather", '{"city":"A"}', index=0),
    ],
    "the name comes last": [
        piece("call_a", "", '{"city":', index=0),
        piece("", "", '"A"}', index=0),
        piece("", "get_weather", "", index=0),
    ],
    "the id comes late": [
        piece(None, "get_weather", "", index=0),
        piece("call_a", None, '{"city":"A"}', index=0),
    ],
    "the id comes last": [
        piece(None, "get_weather", '{"city":"A"}', index=0),
        piece("call_a", None, "", index=0),
    ],
    "arguments are an object": [piece("call_a", "get_weather", {"city": "A"}, index=0)],
    "an empty object comes first": [
        piece("call_a", "get_weather", {}, index=0),
        piece(None, None, '{"city":"A"}', index=0),
    ],
    "the whole call is repeated": [
        piece("call_a", "get_weather", '{"city":"A"}', index=0),
        piece("call_a", "get_weather", '{"city":"A"}', index=0),
    ],
    "the fields are the call's own": [{"index": 0, "id": "call_a", "name": "get_weather", "arguments": '{"city":"A"}'}],
    "the index is missing": [piece("call_a", "get_weather", '{"city":'), piece(None, None, '"A"}')],
    "the index is a string": [
        piece("call_a", "get_weather", '{"city":', index="0"),
        piece(None, None, '"A"}', index="0"),
    ],
    "every piece has another id": [
        piece("call_a", "get_weather", "", index=0),
        piece("call_x", "", "", index=0),
        piece("call_y", None, '{"city":', index=0),
        piece("call_y", None, '"A"}', index=0),
        piece("call_y", None, "", index=0),
    ],
    "every piece has another id and no index": [
        piece("call_a", "get_weather", '{"city":'),
        piece("call_b", None, '"A"}'),
    ],
    "the name comes in pieces": [
        piece("call_a", "get_", "", index=0),
        piece(None, "weather", "", index=0),
        piece(None, None, '{"city":"A"}', index=0),
    ],
    "the name grows": [
        piece("call_a", "get_", "", index=0),
        piece("call_a", "get_weather", "", index=0),
        piece("call_a", "get_weather", '{"city":"A"}', index=0),
    ],
    "null comes first as text": [
        piece("call_a", "get_weather", "null", index=0),
        piece(None, None, '{"city":"A"}', index=0),
    ],
    "the arguments grow": [
        piece("call_a", "get_weather", '{"city":', index=0),
        piece("call_a", "get_weather", '{"city":"A"', index=0),
        piece("call_a", "get_weather", '{"city":"A"}', index=0),
    ],
    "null is between the pieces": [
        piece("call_a", "get_weather", None, index=0),
        {"index": 0, "function": None},
        {"index": 0},
        piece(None, None, '{"city":"A"}', index=0),
    ],
}


@pytest.mark.parametrize("pieces", FORMS.values(), ids=FORMS)
def test_a_call_is_told_once_in_every_form(pieces: list[dict[str, Any]]) -> None:
    reading = called(*pieces)
    assert reading.calls == [A]
    assert reading.finish is not None and reading.finish.reason == "tool_calls"


PARALLEL: dict[str, list[dict[str, Any]]] = {
    "no index": [piece(*A), piece(*B)],
    "the index of the first": [piece(*A, index=0), piece(*B, index=0)],
    "pieces at one index": [
        piece("call_a", "get_weather", '{"city":', index=0),
        piece(None, None, '"A"}', index=0),
        piece("call_b", "get_weather", '{"city":', index=0),
        piece(None, None, '"B"}', index=0),
    ],
    "interleaved": [
        piece("call_a", "get_weather", "", index=0),
        piece("call_b", "get_weather", "", index=1),
        piece(None, None, '{"city":', index=0),
        piece(None, None, '{"city":', index=1),
        piece(None, None, '"A"}', index=0),
        piece(None, None, '"B"}', index=1),
    ],
    "interleaved by id": [
        piece("call_a", "get_weather", '{"city":'),
        piece("call_b", "get_weather", '{"city":'),
        piece("call_a", None, '"A"}'),
        piece("call_b", None, '"B"}'),
    ],
    "the second goes on at the index of the first": [
        piece(*A, index=0),
        piece("call_b", "get_weather", '{"city":', index=1),
        piece(None, None, '"B"}', index=0),
    ],
    "indices from 3": [piece(*A, index=3), piece(*B, index=7)],
}


@pytest.mark.parametrize("pieces", PARALLEL.values(), ids=PARALLEL)
def test_a_new_id_is_a_new_call_with_its_own_index(pieces: list[dict[str, Any]]) -> None:
    assert called(*pieces).calls == [A, B]


@pytest.mark.parametrize("indices", [(0, 1), (0, 0), (None, None)], ids=["indices", "one index", "no index"])
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "in pieces"])
def test_calls_that_share_an_id_are_told_apart(indices: tuple[int | None, int | None], cut: bool) -> None:
    pieces = []
    for index, city in zip(indices, "AB", strict=True):
        at = {} if index is None else {"index": index}
        arguments = ['{"city":', f'"{city}"}}'] if cut else [f'{{"city":"{city}"}}']
        pieces += [piece("get_weather", "get_weather", arguments[0], **at)]
        pieces += [piece("get_weather", None, text, **at) for text in arguments[1:]]
    calls = [("get_weather", "get_weather", '{"city":"A"}'), (None, "get_weather", '{"city":"B"}')]
    assert called(*pieces).calls == calls


def test_calls_of_other_tools_that_share_an_id_are_told_apart() -> None:
    pieces = [piece("x", "f", "", index=0), piece("x", "g", "", index=1), piece("x", "h", '{"a":1}', index=2)]
    assert called(*pieces).calls == [("x", "f", "{}"), (None, "g", "{}"), (None, "h", '{"a":1}')]


def test_a_call_without_an_id_that_is_sent_twice_is_one() -> None:
    once = piece(None, "f", '{"x":1}', index=0)
    assert called(once, once).calls == [(None, "f", '{"x":1}')]


def test_the_name_of_a_tool_that_can_be_called_is_told_at_once() -> None:
    stream = ChatParser({"get_weather"})
    (frame,) = sse({"choices": [{"delta": {"tool_calls": [piece("call_a", "get_weather", "", index=0)]}}]})
    assert list(stream.events(*frame)) == [ToolCall(0, "call_a", "get_weather", "")]


def test_calls_are_told_in_their_order_although_names_are_awaited() -> None:
    pieces = [piece("a", "f", "", index=0), piece("b", "g", '{"x":1}', index=1)]
    assert called(*pieces).calls == [("a", "f", "{}"), ("b", "g", '{"x":1}')]


def test_an_object_inside_the_arguments_is_not_taken_for_all_of_them() -> None:
    pieces = piece("a", "f", '{"x":', index=0), piece("a", "f", '{"x":1}}', index=0)
    assert called(*pieces).calls == [("a", "f", '{"x":{"x":1}}')]


def test_a_call_without_arguments_is_told_in_one_piece_before_the_next_call() -> None:
    reading = called(
        piece("a", "f", "{}", index=0), piece("b", "g", '{"x":', index=1), piece(None, None, "1}", index=1)
    )
    assert [event for event in reading.events if isinstance(event, ToolCall)] == [
        ToolCall(0, "a", "f", "{}"),
        ToolCall(1, "b", "g", '{"x":'),
        ToolCall(1, None, None, "1}"),
    ]


@pytest.mark.parametrize("empty", [{}, piece("a", None, None), piece("", "", "", index=0), {"index": 0, "id": "a"}])
def test_an_entry_without_name_and_arguments_is_no_call(empty: dict[str, Any]) -> None:
    reading = chat({"content": "Hi"}, {"tool_calls": [empty]}, finish="stop")
    assert (reading.text, reading.calls) == ("Hi", [])
    assert reading.finish is not None and reading.finish.reason == "stop"


def test_arguments_of_a_call_without_a_name_are_an_error() -> None:
    for reading in (
        called(piece("call_a", None, '{"city":"A"}', index=0)),
        read("messages", events(json_delta(0, '{"city":"A"}'), STOP, *END)),
    ):
        assert reading.error is not None and reading.error.code == "upstream_error"


def test_the_counts_are_of_the_whole_answer_although_empty_arguments_come_last() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    call = {"choices": [{"delta": {"tool_calls": [piece("call_a", "f", "{}", index=0)]}, "finish_reason": "stop"}]}
    reading = read("chat", sse(call, usage, "[DONE]"))
    assert reading.calls == [("call_a", "f", "{}")]
    assert reading.events[-1] == Usage(7, 2)


def test_calls_without_an_id_are_told_apart_by_their_name_and_by_complete_arguments() -> None:
    pieces = [piece(None, "f", '{"x":1}'), piece(None, "g", '{"x":'), piece(None, "g", "2}"), piece(None, "g", "{}")]
    assert called(*pieces).calls == [(None, "f", '{"x":1}'), (None, "g", '{"x":2}'), (None, "g", "{}")]


def test_pieces_in_one_chunk_without_an_index_are_told_apart_by_their_place() -> None:
    first = {"tool_calls": [piece("call_a", "get_weather", '{"city":'), piece("call_b", "get_weather", '{"city":')]}
    second = {"tool_calls": [piece(None, None, '"A"}'), piece(None, None, '"B"}')]}
    assert chat(first, second).calls == [A, B]


def test_a_legacy_function_call_is_a_call() -> None:
    reading = chat(
        {"role": "assistant", "function_call": {"name": "get_weather", "arguments": ""}},
        {"function_call": {"arguments": '{"city":"A"}'}},
        finish="function_call",
    )
    assert reading.calls == [(None, "get_weather", '{"city":"A"}')]
    assert reading.finish is not None and reading.finish.reason == "tool_calls"


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert called(piece("call_a", "f", "", index=0)).calls == [("call_a", "f", "{}")]


def test_a_call_that_a_limit_cut_is_not_completed() -> None:
    assert chat({"tool_calls": [piece("call_a", "f", "", index=0)]}, finish="length").calls == [("call_a", "f", "")]


@pytest.mark.parametrize("arguments", [7, 1.5, True])
def test_arguments_that_are_no_text_are_an_error(arguments: Any) -> None:
    reading = called(piece("call_a", "f", arguments, index=0))
    assert reading.error is not None and reading.error.code == "upstream_error"


def test_a_whole_message_has_its_calls() -> None:
    call = {"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"A"}'}}
    whole = {"choices": [{"index": 0, "message": {"content": "Look.", "tool_calls": [call]}, "finish_reason": "stop"}]}
    reading = read("chat", sse(whole, "[DONE]"))
    assert (reading.text, reading.calls) == ("Look.", [A])
    assert reading.finish is not None and reading.finish.reason == "tool_calls"


def test_a_message_after_deltas_tells_nothing_twice() -> None:
    call = {"index": 0, "id": "call_a", "function": {"name": "get_weather", "arguments": '{"city":"A"}'}}
    message = {"content": "Look.", "tool_calls": [{**call, "index": None}], "reasoning_content": "Hm."}
    choices: list[dict[str, Any]] = [
        {"delta": {"content": "Lo", "reasoning_content": "Hm."}},
        {"delta": {"content": "ok."}, "message": {"content": "Look."}},
        {"delta": {"tool_calls": [call]}},
        {"delta": {}, "message": message, "finish_reason": "tool_calls"},
    ]
    reading = read("chat", sse(*({"choices": [choice]} for choice in choices)))
    assert (reading.text, reading.reasoning, reading.calls) == ("Look.", "Hm.", [A])


@pytest.mark.parametrize("grows", [True, False], ids=["cumulative", "pieces"])
def test_messages_instead_of_deltas_are_put_together(grows: bool) -> None:
    contents = ["Lo", "Look", "Look."] if grows else ["Lo", "ok", "."]
    choices: list[dict[str, Any]] = [{"message": {"content": content}} for content in contents]
    reading = read("chat", sse(*({"choices": [choice]} for choice in [*choices, {"finish_reason": "stop"}])))
    assert reading.text == "Look."


def test_what_a_provider_wants_back_with_a_call_is_told_with_it_once() -> None:
    signature: dict[str, Any] = {"extra_content": {"google": {"thought_signature": "sealed"}}}
    reading = called(piece(*A, index=0, **signature), piece(None, None, "", index=0, **signature), piece(*B, index=1))
    calls = [event for event in reading.events if isinstance(event, ToolCall)]
    assert [call.extra for call in calls] == [signature, None]


def test_sealed_reasoning_details_are_put_together_and_told_with_a_call() -> None:
    details = [
        {"type": "reasoning.text", "text": "Hm", "index": 0, "format": "anthropic-claude-v1"},
        {"type": "reasoning.text", "text": "m.", "index": 0},
        {"type": "reasoning.text", "signature": "sealed", "index": 0},
    ]
    reading = chat(*({"reasoning_details": [detail]} for detail in details), {"tool_calls": [piece(*A, index=0)]})
    whole = {"type": "reasoning.text", "text": "Hmm.", "index": 0, "format": "anthropic-claude-v1"}
    assert reading.reasoning == "Hmm."
    extra = [event.extra for event in reading.events if isinstance(event, ToolCall)]
    assert extra == [None, {"reasoning_details": [{**whole, "signature": "sealed"}]}]


def item(kind: str, index: int | None = 0, **fields: Any) -> dict[str, Any]:
    described = {"type": "function_call", "id": "fc_1", "call_id": "call_a", "name": "get_weather", **fields}
    return {"type": f"response.output_item.{kind}", "output_index": index, "item": described}


COMPLETED = {"type": "response.completed", "response": {"status": "completed"}}
DONE = {
    "type": "response.function_call_arguments.done",
    "item_id": "fc_1",
    "output_index": 0,
    "arguments": '{"city":"A"}',
}
DELTA = {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0}
RESPONSES: dict[str, list[dict[str, Any]]] = {
    "only at the end of the arguments": [item("added", arguments=""), DONE, item("done", arguments="{}"), COMPLETED],
    "only at the start": [item("added", arguments='{"city":"A"}'), item("done", arguments=""), COMPLETED],
    "only at the start, without an end": [item("added", arguments='{"city":"A"}'), COMPLETED],
    "only at the end of the item": [item("added", arguments=""), item("done", arguments='{"city":"A"}'), COMPLETED],
    "an object": [item("added", arguments={}), item("done", arguments={"city": "A"}), COMPLETED],
    "only the end of the item": [item("done", arguments='{"city":"A"}'), COMPLETED],
    "only in the Response": [
        {
            "type": "response.completed",
            "response": {"status": "completed", "output": [item("", arguments='{"city":"A"}')["item"]]},
        }
    ],
    "text in deltas, and the call only in the Response": [
        {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "delta": "Look."},
        {
            "type": "response.completed",
            "response": {
                "output": [
                    {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Look."}]},
                    item("", arguments='{"city":"A"}')["item"],
                ]
            },
        },
    ],
    "the id of the item changes with every event": [
        item("added", arguments=""),
        {**DONE, "item_id": "fc_2"},
        item("done", id="fc_3", arguments='{"city":"A"}'),
        {"type": "response.completed", "response": {"output": [item("", id="fc_4", arguments='{"city":"A"}')["item"]]}},
    ],
    "deltas, then the whole": [
        item("added", arguments=""),
        {**DELTA, "delta": '{"city":'},
        {**DELTA, "delta": '"A"}'},
        DONE,
        item("done", arguments='{"city":"A"}'),
        COMPLETED,
    ],
    "deltas that stop early": [item("added"), {**DELTA, "delta": '{"city":'}, DONE, item("done"), COMPLETED],
    "deltas before the item": [{**DELTA, "delta": '{"city":'}, {**DELTA, "delta": '"A"}'}, item("done"), COMPLETED],
    "nothing says which item": [
        {**item("added", index=None), "item": {**item("added")["item"], "id": None}},
        {"type": DELTA["type"], "delta": '{"city":'},
        {"type": DONE["type"], "arguments": '{"city":"A"}'},
        COMPLETED,
    ],
}


@pytest.mark.parametrize("frames", RESPONSES.values(), ids=RESPONSES)
def test_arguments_in_a_response_are_told_whole_and_once(frames: list[dict[str, Any]]) -> None:
    reading = read("responses", events(*frames))
    assert reading.calls == [A]
    assert reading.finish is not None and reading.finish.reason == "tool_calls"


def block(index: int, **content: Any) -> dict[str, Any]:
    described = {"type": "tool_use", "id": "call_a", "name": "get_weather", "input": {}, **content}
    return {"type": "content_block_start", "index": index, "content_block": described}


def json_delta(index: int, text: str) -> dict[str, Any]:
    delta = {"type": "input_json_delta", "partial_json": text}
    return {"type": "content_block_delta", "index": index, "delta": delta}


STOP: dict[str, Any] = {"type": "content_block_stop", "index": 0}
END: list[dict[str, Any]] = [{"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"}]
CITY = {"city": "A"}
MESSAGES: dict[str, list[dict[str, Any]]] = {
    "whole at the start": [block(0, input=CITY), STOP],
    "whole at the start, never stopped": [block(0, input=CITY)],
    "an empty input and deltas": [block(0), json_delta(0, ""), json_delta(0, '{"city":'), json_delta(0, '"A"}'), STOP],
    "a whole input and deltas": [block(0, input=CITY), json_delta(0, '{"city":'), json_delta(0, '"A"}'), STOP],
    "the start is sent twice": [block(0), block(0), json_delta(0, '{"city":"A"}'), STOP],
    "without an index": [
        {**block(0), "index": None},
        {**json_delta(0, '{"city":"A"}'), "index": None},
        {**STOP, "index": None},
    ],
}


@pytest.mark.parametrize("frames", MESSAGES.values(), ids=MESSAGES)
def test_the_input_of_a_message_is_told_whole_and_once(frames: list[dict[str, Any]]) -> None:
    assert read("messages", events(*frames, *END)).calls == [A]


@pytest.mark.parametrize("frames", [[block(0), STOP], [block(0)]], ids=["stopped", "never stopped"])
def test_a_tool_use_without_input_has_an_empty_object(frames: list[dict[str, Any]]) -> None:
    assert read("messages", events(*frames, *END)).calls == [("call_a", "get_weather", "{}")]


def test_blocks_that_are_open_together_keep_their_own_input() -> None:
    frames = [
        block(0),
        block(1, id="call_b"),
        json_delta(0, '{"city":"A"}'),
        json_delta(1, '{"city":"B"}'),
        STOP,
        {**STOP, "index": 1},
    ]
    assert read("messages", events(*frames, *END)).calls == [A, B]


def test_a_message_that_comes_whole_has_its_content() -> None:
    content = [{"type": "text", "text": "Look."}, block(0, input=CITY)["content_block"]]
    reading = read("messages", events({"type": "message_start", "message": {"content": content}}, *END))
    assert (reading.text, reading.calls) == ("Look.", [A])


def test_arguments_are_json_text() -> None:
    for reading in (called(piece("a", "f", {"ü": [1]}, index=0)), read("messages", events(block(0, input=[1]), *END))):
        (_, _, arguments) = reading.calls[0]
        json.loads(arguments)
