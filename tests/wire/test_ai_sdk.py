"""Golden transcripts of the AI SDK's UI messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given

from providers.base import BlockEnd, Frame, Opaque, Reasoning, RefusalText, Text, ToolCall
from streamserver.core.error_codes import FAILURES, failed
from streamserver.core.refusals import Refusal as RequestRefusal
from streamserver.log.records import Done, Failed, Piece, Record
from streamserver.wire.ai_sdk import AI_SDK_REPLAY_WIRE, AI_SDK_WIRE
from streamserver.wire.ai_sdk_replay import repeated_chunks
from streamserver.wire.ids import public_hash
from tests.support.records import DONE, START, foreign_logs
from tests.support.sse import parse

HASH = public_hash(START.stream_id)
BEGIN = [{"type": "start", "messageId": f"msg_{HASH}"}, {"type": "start-step"}]
STEP_END = {"type": "finish-step"}
USED = {
    "messageMetadata": {"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "estimated": True}}
}
SIGNED = Opaque("messages", "model", {"signature": "sig"})
FALLBACK_ID = f"call_{HASH}_0"


def chunks(records: Sequence[Record], *, replays: bool = False) -> list[dict[str, Any]]:
    """Return the chunks of a log, without the marker at its end."""
    start = records[0]
    assert isinstance(start, type(START))
    encoder = (AI_SDK_REPLAY_WIRE if replays else AI_SDK_WIRE).encoder(start)
    data, count = encoder.encode(0, records)
    assert count == len(records)
    events = [event.data for event in parse(data)]
    if isinstance(records[-1], Done | Failed):
        assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


def parts(*pieces: Piece, reason: str = "stop") -> list[dict[str, Any]]:
    """Return the chunks between the beginning and the end of an answer."""
    whole = chunks([START, *pieces, msgspec.structs.replace(DONE, finish_reason=reason)])
    assert whole[:2] == BEGIN and whole[-2] == STEP_END and whole[-1]["type"] == "finish"
    return whole[2:-2]


def available(call_id: str, name: str, given: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool-input-available", "toolCallId": call_id, "toolName": name, "input": given, **more}


def begun(call_id: str, name: str, *deltas: str, **more: Any) -> list[dict[str, Any]]:
    start = {"type": "tool-input-start", "toolCallId": call_id, "toolName": name, **more}
    return [start, *({"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": each} for each in deltas)]


def written(kind: str, part_id: str, *deltas: str, **more: Any) -> list[dict[str, Any]]:
    inner = [{"type": f"{kind}-delta", "id": part_id, "delta": each} for each in deltas]
    return [{"type": f"{kind}-start", "id": part_id}, *inner, {"type": f"{kind}-end", "id": part_id, **more}]


def sealed(part: Opaque) -> dict[str, Any]:
    closing = parts(BlockEnd("reasoning", opaque=part))[-1]
    metadata: dict[str, Any] = closing["providerMetadata"]
    return metadata


def test_answer_is_one_text_part_in_one_step() -> None:
    assert chunks([START, Text("Fo"), Text("ur"), DONE]) == [
        *BEGIN,
        *written("text", "t0", "Fo", "ur"),
        STEP_END,
        {"type": "finish", "finishReason": "stop", **USED},
    ]


def test_empty_answer_has_no_part() -> None:
    assert parts() == parts(Text("")) == parts(Reasoning(""), BlockEnd("text")) == []


def test_two_text_blocks_are_two_parts() -> None:
    assert parts(Text("a"), BlockEnd("text"), Text("b")) == [*written("text", "t0", "a"), *written("text", "t1", "b")]


def test_refusal_of_a_model_is_text() -> None:
    assert parts(RefusalText("No"), BlockEnd("refusal")) == written("text", "t0", "No")


def test_frames_are_read_piece_by_piece() -> None:
    frame = Frame("chat", "", b"{}", (Reasoning("r"), Text("a")))
    assert parts(frame) == [*written("reasoning", "r0", "r"), *written("text", "t1", "a")]


def test_reasoning_carries_its_opaque_part_when_it_has_one() -> None:
    metadata = sealed(SIGNED)
    assert parts(Reasoning("sum"), BlockEnd("reasoning", opaque=SIGNED), Text("4")) == [
        *written("reasoning", "r0", "sum", providerMetadata=metadata),
        *written("text", "t1", "4"),
    ]
    assert set(metadata) == {"streamserver"} and isinstance(metadata["streamserver"]["signature"], str)


def test_redacted_reasoning_is_an_empty_part_with_its_opaque_part() -> None:
    redacted = Opaque("messages", "model", {"data": "x"})
    found = parts(Text("a"), BlockEnd("text"), BlockEnd("reasoning", opaque=redacted))
    assert found[3:] == written("reasoning", "r1", providerMetadata=sealed(redacted))


def test_end_of_reasoning_without_opaque_part_leaves_a_text_open() -> None:
    assert parts(Text("a"), BlockEnd("reasoning"), Text("b")) == written("text", "t0", "a", "b")


def test_call_is_available_when_its_block_ends() -> None:
    found = parts(ToolCall(0, "c1", "look", '{"a":'), ToolCall(0, None, None, "1}"), BlockEnd("tool_call", 0))
    assert found == [*begun("c1", "look", '{"a":', "1}"), available("c1", "look", {"a": 1})]


def test_call_without_block_end_is_available_when_text_follows_or_the_answer_ends() -> None:
    call = ToolCall(0, "c1", "look", "{}")
    whole = [*begun("c1", "look", "{}"), available("c1", "look", {})]
    assert parts(call, Text("a")) == [*whole, *written("text", "t0", "a")]
    assert parts(call) == whole


def test_parallel_calls_may_interleave() -> None:
    found = parts(
        *(ToolCall(0, "c1", "one", '{"a":'), ToolCall(1, "c2", "two", '{"b":')),
        *(ToolCall(0, None, None, "1}"), ToolCall(1, None, None, "2}")),
        *(BlockEnd("tool_call", 1), BlockEnd("tool_call", 0)),
    )
    first, second = begun("c1", "one", '{"a":', "1}"), begun("c2", "two", '{"b":', "2}")
    calls = [first[0], first[1], second[0], second[1], first[2], second[2]]
    assert found == [*calls, available("c2", "two", {"b": 2}), available("c1", "one", {"a": 1})]


@pytest.mark.parametrize("given_id", [None, ""])
def test_call_without_id_gets_one_and_without_arguments_an_empty_object(given_id: str | None) -> None:
    found = parts(ToolCall(0, given_id, "now", ""))
    assert found == [*begun(FALLBACK_ID, "now"), available(FALLBACK_ID, "now", {})]


def test_second_call_with_the_same_id_gets_another() -> None:
    found = parts(ToolCall(0, "c", "one", "{}"), ToolCall(1, "c", "two", "{}"))
    assert [each["toolCallId"] for each in found if each["type"] == "tool-input-start"] == ["c", f"call_{HASH}_1"]


@pytest.mark.parametrize("text", ['{"a":', "{} {}", '{"a":NaN}', '{"a":' * 5_000, "[" * 5_000])
def test_input_that_is_no_json_is_an_error_of_its_call(text: str) -> None:
    error = "The model's input for this tool is not valid JSON."
    last = parts(ToolCall(0, "c", "look", text))[-1]
    names = {"toolCallId": "c", "toolName": "look"}
    assert last == {"type": "tool-input-error", **names, "input": text, "errorText": error}


def test_call_without_input_is_an_error_when_the_answer_was_too_long() -> None:
    assert parts(ToolCall(0, "c", "look", ""), reason="length")[-1]["type"] == "tool-input-error"


def test_custom_call_has_text_as_its_input_even_where_that_is_json() -> None:
    found = parts(
        ToolCall(0, "c1", "run", "{}", custom=True), ToolCall(1, "c2", "look", "{}"), ToolCall(0, None, None, " x")
    )
    assert found[0] == begun("c1", "run", inputEncoding="text")[0]
    assert found[-2:] == [available("c1", "run", "{} x"), available("c2", "look", {})]


def test_call_carries_what_its_provider_wants_back() -> None:
    extra = {"extra_content": {"google": {"thought_signature": "s"}}}
    last = parts(ToolCall(0, "c", "look", "{}", extra))[-1]
    assert last == available("c", "look", {}, providerMetadata={"streamserver": {"call": extra}})


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool-calls"),
        ("content_filter", "content-filter"),
        ("pause_turn", "other"),
    ],
)
def test_finish_reason_is_one_of_the_sdk(reason: str, expected: str) -> None:
    done = msgspec.structs.replace(DONE, finish_reason=reason, usage=None)
    assert chunks([START, done])[-1] == {"type": "finish", "finishReason": expected}


def test_stop_after_tool_calls_is_tool_calls() -> None:
    assert chunks([START, ToolCall(0, "c", "look", "{}"), DONE])[-1]["finishReason"] == "tool-calls"


@pytest.mark.parametrize("code", sorted(set(FAILURES) - {"cancelled"}))
def test_failure_closes_the_text_and_is_a_sentence(code: str) -> None:
    ending = failed(code, request_id="r-1")
    error = {"type": "error", "errorText": FAILURES[code].message}
    assert chunks([START, ending]) == [*BEGIN, error]
    assert chunks([START, Text("a"), ending]) == [*BEGIN, *written("text", "t0", "a"), error]


def test_cancelled_stream_is_aborted() -> None:
    ending = failed("cancelled", request_id="r-1")
    expected = [*BEGIN, *written("reasoning", "r0", "a"), {"type": "abort", "reason": "cancelled"}]
    assert chunks([START, Reasoning("a"), ending]) == expected


@pytest.mark.parametrize("code", ["cancelled", "upstream_disconnected"])
@pytest.mark.parametrize("text", ["", "{", "{}"])
def test_failed_answer_makes_no_call_available(code: str, text: str) -> None:
    found = chunks([START, ToolCall(0, "c", "look", text), failed(code, request_id="r-1")])
    assert "tool-input-available" not in [each["type"] for each in found]


def test_failure_outside_the_log_closes_the_open_part() -> None:
    encoder = AI_SDK_WIRE.encoder(START)
    encoder.encode(0, [START, Text("a")])
    data = [event.data for event in parse(encoder.encode_failure(failed("stream_expired", request_id="r-1")))]
    assert [json.loads(event)["type"] for event in data[:-1]] == ["text-end", "error"]
    assert data[-1] == "[DONE]"


def test_keepalive_is_a_comment_with_a_blank_line() -> None:
    assert AI_SDK_WIRE.encoder(START).keepalive == b": keep-alive\n\n"


@pytest.mark.parametrize(
    ("field", "detail", "sentence"),
    [
        (None, "Try again.", "Try again."),
        ("id", "Expected a string.", "id: Expected a string."),
        ("max_tokens", "max_tokens is at most 4.", "max_tokens is at most 4."),
    ],
)
def test_refusal_names_its_field_once(field: str | None, detail: str, sentence: str) -> None:
    answer = AI_SDK_WIRE.refusal(RequestRefusal("invalid_request", detail, field=field), "r-1")
    assert (answer.status, answer.body.decode(), answer.headers) == (422, sentence, {"X-Error-Code": "invalid_request"})


EARLIER: list[dict[str, Any]] = [
    {"type": "step-start"},
    {"type": "reasoning", "text": "sum", "providerMetadata": {"streamserver": {"signature": "s"}, "other": {"a": 1}}},
    {"type": "text", "text": ""},
    {"type": "text", "text": "Look:", "state": "done"},
    {"type": "tool-look", "toolCallId": "c1", "state": "output-available", "input": {"a": 1}, "output": [2]},
    {"type": "tool-look", "toolCallId": "c2", "state": "output-error", "input": "{", "errorText": "No."},
    {"type": "dynamic-tool", "toolName": "run", "toolCallId": "c3", "state": "output-denied", "input": "ls"},
    {"type": "tool-look", "toolCallId": "c4", "state": "input-streaming"},
    {
        "type": "tool-no",
        "toolCallId": "c5",
        "state": "approval-responded",
        "input": {},
        "approval": {"approved": False},
    },
    {"type": "data-weather", "data": 1},
]


def test_continuation_keeps_the_id_of_its_message_and_repeats_its_parts_only_in_a_replay() -> None:
    options = {"message_id": "m-1", "earlier_chunks": list(repeated_chunks(EARLIER))}
    start = msgspec.structs.replace(START, options=options)
    log: list[Record] = [start, Text("a"), DONE]
    first, rest = {"type": "start", "messageId": "m-1"}, chunks([START, Text("a"), DONE])[1:]
    assert chunks(log) == [first, *rest]
    assert chunks(log, replays=True) == [
        first,
        {"type": "start-step"},
        *written("reasoning", "e1", "sum", providerMetadata={"streamserver": {"signature": "s"}}),
        *written("text", "e3", "Look:"),
        *begun("c1", "look", '{"a":1}'),
        {"type": "tool-output-available", "toolCallId": "c1", "output": [2]},
        {"type": "tool-input-error", "toolCallId": "c2", "toolName": "look", "input": "{", "errorText": "No."},
        *begun("c3", "run", "ls", dynamic=True, inputEncoding="text"),
        {"type": "tool-output-denied", "toolCallId": "c3"},
        *begun("c5", "no", "{}"),
        {"type": "tool-output-denied", "toolCallId": "c5"},
        *rest,
    ]


def test_call_in_a_continuation_does_not_take_the_id_of_an_earlier_one() -> None:
    options = {"message_id": "m-1", "earlier_chunks": list(repeated_chunks(EARLIER))}
    start = msgspec.structs.replace(START, options=options)
    found = chunks([start, ToolCall(0, "c1", "look", "{}"), DONE])
    assert found[2]["toolCallId"] == FALLBACK_ID


@given(log=foreign_logs("ai_sdk"))
def test_parts_are_opened_once_before_their_deltas_and_texts_are_closed(log: list[Record]) -> None:
    seen: set[str] = set()
    is_open: set[str] = set()
    for chunk in chunks(log):
        kind, _, step = chunk["type"].rpartition("-")
        if kind in ("text", "reasoning"):
            part_id = chunk["id"]
            assert (step == "start") == (part_id not in seen)
            assert step == "start" or part_id in is_open
            seen.add(part_id)
            (is_open.discard if step == "end" else is_open.add)(part_id)
        elif chunk["type"] in ("finish-step", "error", "abort"):
            assert not is_open
        assert None not in [chunk.get(name, "") for name in ("id", "delta", "toolCallId", "toolName", "errorText")]
