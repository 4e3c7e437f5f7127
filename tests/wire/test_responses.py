"""The wire of OpenAI's Responses: golden transcripts, translated and replayed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import opaque
from providers.base import BlockEnd, Frame, Opaque, Reasoning, RefusalText, Text, ToolCall, UsageDetails
from streamserver.core.error_codes import FAILURES
from streamserver.log.records import NOT_BY_PRODUCER, Done, Failed, Record, Start, TokenUsage
from streamserver.wire.ids import public_hash
from streamserver.wire.responses import RESPONSES_WIRE, ResponsesEncoder, response_of
from tests.support.records import START
from tests.support.sse import parse
from tests.wire.test_every_wire import encode

H = public_hash(START.stream_id)
BEGIN = Start(START.stream_id, "request-1", "up", "m", created=1790000000, wire="responses")
IN_BACKGROUND = msgspec.structs.replace(BEGIN, options={"background": True})
USAGE = TokenUsage(9, 7, 16, estimated=False)
DONE = Done("stop", "up", "m-2026", USAGE, 1.0, 1499.0, UsageDetails(cached_tokens=4, reasoning_tokens=3))
OVERLOADED = Failed("overloaded", "It is overloaded.", True, None, "request-1", USAGE)
CANCELLED = Failed("cancelled", "The answer was stopped.", False, None, "request-1", None)
LOST = Failed("producer_lost", "The server is gone.", True, None, "request-1", None)
SEALED = Opaque("messages", "claude", {"signature": "sig"})


def events(records: Sequence[Record], resume_after: int | None = None) -> list[dict[str, Any]]:
    """Return the data of the events of ``records``, which all have their type as their name."""
    found = parse(encode(RESPONSES_WIRE, records, resume_after=resume_after))
    data = [event.json() for event in found]
    assert [event.type for event in found] == [each["type"] for each in data]
    return data


def short(records: Sequence[Record]) -> list[str]:
    """Return the events between the first two and the terminal one, each on one short line."""
    return [_short(event) for event in events(records)[2:-1]]


def _short(event: dict[str, Any]) -> str:
    place = [str(event[name]) for name in ("output_index", "content_index", "summary_index") if name in event]
    words = [event[name] for name in ("delta", "text", "refusal", "arguments", "input", "name") if name in event]
    if "item" in event:
        words = [event["item"]["type"], event["item"]["status"]]
        assert event["item"]["id"].endswith(f"_{H}_{event['output_index']}")
    elif "item_id" in event:
        assert event["item_id"].endswith(f"_{H}_{event['output_index']}")
    return " ".join([event["type"].removeprefix("response."), ".".join(place), *words])


def last(records: Sequence[Record]) -> dict[str, Any]:
    """Return the Response of the terminal event, which is also that of the whole answer."""
    response = events(records)[-1]["response"]
    assert response == response_of(records)
    return response  # type: ignore[no-any-return]


def frame(kind: str, /, **fields: Any) -> Frame:
    data = {"type": kind, "sequence_number": 77, **fields}
    return Frame("responses", kind, json.dumps(data).encode(), (Text("a"),) if kind.endswith(".delta") else ())


PROVIDERS_RESPONSE = {"id": "resp_theirs", "object": "response", "status": "in_progress", "output": [], "vendor": 1}
CREATED = frame("response.created", response=PROVIDERS_RESPONSE)
THEIR_ITEM = {"id": "msg_theirs", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
ADDED = frame("response.output_item.added", output_index=0, item=THEIR_ITEM)
PLACE = {"item_id": "msg_theirs", "output_index": 0, "content_index": 0}
PART = frame("response.content_part.added", **PLACE, part={"type": "output_text", "text": "", "annotations": []})
DELTA = frame("response.output_text.delta", **PLACE, delta="Four", logprobs=[{"token": "Four"}], obfuscation="xx")
WHOLE_ITEM = {**THEIR_ITEM, "status": "completed", "content": [{"type": "output_text", "text": "Four"}]}
ITEM_DONE = frame("response.output_item.done", output_index=0, item=WHOLE_ITEM)
COMPLETED = frame("response.completed", response={**PROVIDERS_RESPONSE, "status": "completed", "output": [WHOLE_ITEM]})


def test_text_after_reasoning_is_the_transcript_of_the_reference() -> None:
    records: list[Record] = [
        BEGIN,
        Reasoning("Sum "),
        Reasoning("it."),
        BlockEnd("reasoning", opaque=SEALED),
        Text("Four"),
        DONE,
    ]
    found = events(records)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"] for event in found[:2]] == ["response.created", "response.in_progress"]
    assert all(event["response"]["status"] == "in_progress" for event in found[:2])
    assert short(records) == [
        "output_item.added 0 reasoning in_progress",
        "reasoning_summary_part.added 0.0",
        "reasoning_summary_text.delta 0.0 Sum ",
        "reasoning_summary_text.delta 0.0 it.",
        "reasoning_summary_text.done 0.0 Sum it.",
        "reasoning_summary_part.done 0.0",
        "output_item.done 0 reasoning completed",
        "output_item.added 1 message in_progress",
        "content_part.added 1.0",
        "output_text.delta 1.0 Four",
        "output_text.done 1.0 Four",
        "content_part.done 1.0",
        "output_item.done 1 message completed",
    ]
    assert found[-1]["type"] == "response.completed"
    reasoning, message = found[-1]["response"]["output"]
    assert reasoning == {
        "id": f"rs_{H}_0",
        "type": "reasoning",
        "status": "completed",
        "summary": [{"type": "summary_text", "text": "Sum it."}],
        "content": [],
        "encrypted_content": opaque.seal(SEALED),
    }
    part = {"type": "output_text", "text": "Four", "annotations": [], "logprobs": []}
    assert message == {
        "id": f"msg_{H}_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def test_completed_response_has_every_field_of_the_reference() -> None:
    request = {"text": {"verbosity": "low"}, "reasoning": {"effort": "low"}, "metadata": {"a": "b"}, "tools": [{}]}
    response = last([msgspec.structs.replace(BEGIN, options=request), Text("Four"), DONE])
    assert response.pop("output")
    assert response == {
        "id": f"resp_{H}",
        "object": "response",
        "created_at": 1790000000,
        "status": "completed",
        "background": False,
        "completed_at": 1790000001,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {"a": "b"},
        "model": "m-2026",
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": "low", "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": None,
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "tool_choice": "auto",
        "tools": [{}],
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 16,
        },
        "user": None,
    }


def test_interleaved_calls_are_items_of_their_own() -> None:
    records: list[Record] = [
        BEGIN,
        ToolCall(0, "call_p", "time", '{"tz":'),
        ToolCall(1, "call_q", "date", '{"a"'),
        ToolCall(0, None, None, '"UTC"}'),
        ToolCall(1, None, None, ":1}"),
        DONE,
    ]
    assert short(records) == [
        "output_item.added 0 function_call in_progress",
        'function_call_arguments.delta 0 {"tz":',
        "output_item.added 1 function_call in_progress",
        'function_call_arguments.delta 1 {"a"',
        'function_call_arguments.delta 0 "UTC"}',
        "function_call_arguments.delta 1 :1}",
        'function_call_arguments.done 0 {"tz":"UTC"} time',
        "output_item.done 0 function_call completed",
        'function_call_arguments.done 1 {"a":1} date',
        "output_item.done 1 function_call completed",
    ]
    assert [item["call_id"] for item in last(records)["output"]] == ["call_p", "call_q"]


def test_complete_call_is_done_before_the_next_item_begins() -> None:
    records: list[Record] = [BEGIN, ToolCall(0, "a", "time", "{}"), ToolCall(1, "b", "date", "{}"), Text("Wait."), DONE]
    assert [line for line in short(records) if "item" in line] == [
        "output_item.added 0 function_call in_progress",
        "output_item.done 0 function_call completed",
        "output_item.added 1 function_call in_progress",
        "output_item.done 1 function_call completed",
        "output_item.added 2 message in_progress",
        "output_item.done 2 message completed",
    ]


def test_call_is_done_at_the_end_of_its_block() -> None:
    records: list[Record] = [BEGIN, ToolCall(0, "a", "time", "{}"), BlockEnd("tool_call", 0)]
    assert events(records)[-1]["type"] == "response.output_item.done"


def test_calls_without_an_id_or_with_one_twice_get_ids_of_ours() -> None:
    records: list[Record] = [
        BEGIN,
        ToolCall(0, None, "a", "{}"),
        ToolCall(1, "x", "b", "{}"),
        ToolCall(2, "x", "c", "{}"),
        DONE,
    ]
    assert [item["call_id"] for item in last(records)["output"]] == [f"call_{H}_0", "x", f"call_{H}_2"]


def test_call_without_arguments_has_an_empty_object() -> None:
    records: list[Record] = [BEGIN, ToolCall(0, "a", "time", ""), DONE]
    assert short(records)[1:3] == ["function_call_arguments.delta 0 {}", "function_call_arguments.done 0 {} time"]
    assert last(records)["output"][0]["arguments"] == "{}"


def test_custom_calls_keep_every_piece_when_they_interleave() -> None:
    records: list[Record] = [
        BEGIN,
        ToolCall(0, "a", "sh", "ls", custom=True),
        ToolCall(1, "b", "sh", "{}", custom=True),
        ToolCall(0, None, None, " -l", custom=True),
        DONE,
    ]
    assert [item["input"] for item in last(records)["output"]] == ["ls -l", "{}"]
    assert {item["type"] for item in last(records)["output"]} == {"custom_tool_call"}
    assert "custom_tool_call_input.done 0 ls -l" in short(records)


def test_deeply_nested_arguments_are_no_crash() -> None:
    records: list[Record] = [BEGIN, ToolCall(0, "a", "f", '{"a":' * 20_000), Text("b"), DONE]
    assert last(records)["status"] == "completed"


def test_refusal_is_a_part_of_a_completed_response() -> None:
    records: list[Record] = [
        BEGIN,
        Text("Hm. "),
        RefusalText("I will not."),
        msgspec.structs.replace(DONE, finish_reason="content_filter"),
    ]
    assert short(records)[1:] == [
        "content_part.added 0.0",
        "output_text.delta 0.0 Hm. ",
        "output_text.done 0.0 Hm. ",
        "content_part.done 0.0",
        "content_part.added 0.1",
        "refusal.delta 0.1 I will not.",
        "refusal.done 0.1 I will not.",
        "content_part.done 0.1",
        "output_item.done 0 message completed",
    ]
    response = last(records)
    assert response["status"] == "completed" and response["incomplete_details"] is None
    assert response["output"][0]["content"][1] == {"type": "refusal", "refusal": "I will not."}


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_limited_answer_is_incomplete(finish: str, reason: str) -> None:
    records: list[Record] = [
        BEGIN,
        Text("Fo"),
        ToolCall(0, "a", "time", '{"tz'),
        msgspec.structs.replace(DONE, finish_reason=finish),
    ]
    response = last(records)
    assert events(records)[-1]["type"] == "response.incomplete"
    assert response["status"] == "incomplete" and response["completed_at"] is None
    assert response["incomplete_details"] == {"reason": reason}
    assert response["usage"]["total_tokens"] == 16
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "pause_turn"])
def test_any_other_end_is_completed(finish: str) -> None:
    assert last([BEGIN, Text("a"), msgspec.structs.replace(DONE, finish_reason=finish)])["status"] == "completed"


def test_empty_answer_has_no_items() -> None:
    found = events([BEGIN, DONE])
    assert [event["type"] for event in found] == ["response.created", "response.in_progress", "response.completed"]
    assert [event["response"]["status"] for event in found] == ["in_progress", "in_progress", "completed"]
    assert found[-1]["response"]["output"] == []
    assert events([BEGIN, Text(""), Reasoning(""), DONE]) == found, "an empty piece is no item"


def test_opaque_reasoning_without_text_is_an_item() -> None:
    (item,) = last([BEGIN, BlockEnd("reasoning", opaque=SEALED), DONE])["output"]
    assert item["summary"] == [] and item["encrypted_content"] == opaque.seal(SEALED)


def test_failure_after_a_piece_closes_items_and_is_told_in_both_forms() -> None:
    counted = msgspec.structs.replace(OVERLOADED, usage_details=UsageDetails(cached_tokens=4))
    assert last([BEGIN, Text("a"), counted])["usage"]["input_tokens_details"]["cached_tokens"] == 4
    limited = Failed("rate_limited", "Too many requests.", True, 7.0, "request-1", USAGE)
    found = events([BEGIN, Text("Fo"), limited])
    assert found[-3]["type"] == "response.output_item.done" and found[-3]["item"]["status"] == "incomplete"
    message = "Too many requests. Please try again in 7s."
    error = {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": message, "param": None}
    flat = {"code": "rate_limit_exceeded", "message": message, "param": None}
    assert found[-2] == {"type": "error", "sequence_number": len(found) - 2, "error": error, **flat}
    response = found[-1]["response"]
    assert found[-1]["type"] == "response.failed" and response["status"] == "failed"
    assert response["error"] == {"code": "rate_limit_exceeded", "message": message}
    assert response["output"] == [found[-3]["item"]]
    assert response["usage"]["input_tokens"] == 9


@pytest.mark.parametrize(
    ("code", "in_response", "error_type", "error_code"),
    [
        ("quota_exceeded", "insufficient_quota", "insufficient_quota", "insufficient_quota"),
        ("overloaded", "server_is_overloaded", "service_unavailable_error", "server_is_overloaded"),
        ("context_length", "context_length_exceeded", "invalid_request_error", "context_length_exceeded"),
        ("invalid_request", "invalid_prompt", "invalid_request_error", None),
        ("content_filter", "invalid_prompt", "invalid_request_error", "content_filter"),
        ("upstream_disconnected", "server_error", "server_error", "upstream_disconnected"),
        ("timeout", "server_error", "server_error", "timeout"),
        ("shutting_down", "server_error", "service_unavailable_error", "shutting_down"),
        ("internal", "server_error", "server_error", "internal"),
    ],
)
def test_failure_has_the_code_of_each_form(
    code: str, in_response: str, error_type: str, error_code: str | None
) -> None:
    error, ending = events([BEGIN, Text("a"), Failed(code, "Why.", False, None, "r", None)])[-2:]
    assert (error["error"]["type"], error["error"]["code"], error["code"]) == (error_type, error_code, error_code)
    assert ending["response"]["error"]["code"] == in_response


def test_cancelled_response_fails_without_an_error() -> None:
    found = events([BEGIN, Text("Fo"), CANCELLED])
    assert "error" not in [event["type"] for event in found]
    response = found[-1]["response"]
    assert (response["status"], response["error"]) == ("cancelled", None)
    assert response["output"][0]["status"] == "incomplete"


def test_background_response_is_queued_first() -> None:
    found = events([IN_BACKGROUND, Text("a"), DONE])
    assert [(event["type"], event["response"]["status"]) for event in found[:3]] == [
        ("response.created", "queued"),
        ("response.queued", "queued"),
        ("response.in_progress", "in_progress"),
    ]
    assert found[-1]["response"]["background"] is True
    assert response_of([IN_BACKGROUND])["status"] == "queued"
    assert response_of([IN_BACKGROUND, Text("a")])["status"] == "in_progress"


def test_frames_are_replayed_with_our_id_and_numbers() -> None:
    records: list[Record] = [BEGIN, CREATED, ADDED, PART, DELTA, ITEM_DONE, COMPLETED, DONE]
    found = events(records)
    assert [event["sequence_number"] for event in found] == list(range(6))
    ours = {"id": f"resp_{H}", "background": False, "store": True, "previous_response_id": None}
    assert found[0]["response"] == {**PROVIDERS_RESPONSE, **ours}
    theirs = json.loads(DELTA.data)
    del theirs["obfuscation"]
    assert found[3] == {**theirs, "sequence_number": 3}
    assert found[5]["response"]["id"] == f"resp_{H}" and found[5]["response"]["output"] == [WHOLE_ITEM]
    assert response_of(records) == found[5]["response"]
    assert response_of(records[:-2])["output"] == [WHOLE_ITEM]


def test_replayed_response_without_output_gets_the_items_that_are_done() -> None:
    bare = frame("response.completed", response={**PROVIDERS_RESPONSE, "status": "completed", "output": []})
    assert last([BEGIN, CREATED, ADDED, PART, DELTA, ITEM_DONE, bare, DONE])["output"] == [WHOLE_ITEM]


@pytest.mark.parametrize("in_end", [[WHOLE_ITEM], [], None], ids=["whole", "empty", "missing"])
@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_replayed_item_that_the_provider_leaves_open_is_done_before_its_end(in_end: Any, status: str) -> None:
    end = frame(f"response.{status}", response={**PROVIDERS_RESPONSE, "status": status, "output": in_end})
    records: list[Record] = [BEGIN, CREATED, ADDED, PART, DELTA, end, DONE]
    found = events(records)
    assert [event["type"] for event in found[-2:]] == ["response.output_item.done", f"response.{status}"]
    part = {"type": "output_text", "text": "Four", "annotations": []}
    item = WHOLE_ITEM if in_end else {**THEIR_ITEM, "status": status, "content": [part]}
    assert found[-2]["item"] == item and last(records)["output"] == [item]


def test_replayed_counts_are_whole_numbers() -> None:
    usage = {"input_tokens": 7.0, "output_tokens": 2}
    end = frame("response.completed", response={**PROVIDERS_RESPONSE, "status": "completed", "usage": usage})
    counted = last([BEGIN, CREATED, ADDED, PART, DELTA, ITEM_DONE, end, DONE])["usage"]
    assert [str(counted[name]) for name in ("input_tokens", "output_tokens", "total_tokens")] == ["7", "2", "9"]


@pytest.mark.parametrize("nothing", [{}, {"cached_tokens": None}, None])
def test_replayed_usage_has_each_number_that_clients_read(nothing: Any) -> None:
    usage = {"input_tokens": 9, "output_tokens": 7, "total_tokens": None, "input_tokens_details": nothing}
    end = frame("response.completed", response={**PROVIDERS_RESPONSE, "status": "completed", "usage": usage})
    assert last([BEGIN, CREATED, ADDED, PART, DELTA, ITEM_DONE, end, DONE])["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 16,
    }


def test_replayed_background_response_is_created_once() -> None:
    running = frame("response.in_progress", response=PROVIDERS_RESPONSE)
    found = events([IN_BACKGROUND, CREATED, running, ADDED, PART, DELTA, ITEM_DONE, COMPLETED, DONE])
    kinds = [event["type"] for event in found]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds.count("response.created") == 1
    assert {event["response"]["id"] for event in found if "response" in event} == {f"resp_{H}"}


def test_replayed_keepalive_takes_no_number() -> None:
    found = events([BEGIN, CREATED, frame("keepalive"), ADDED, PART, DELTA, ITEM_DONE, COMPLETED, DONE])
    assert [event["sequence_number"] for event in found] == list(range(6))


@pytest.mark.parametrize("ending", [OVERLOADED, CANCELLED, DONE], ids=["failed", "cancelled", "done"])
def test_replayed_items_are_closed_with_what_came_if_the_provider_does_not(ending: Done | Failed) -> None:
    found = events([BEGIN, CREATED, ADDED, PART, DELTA, DELTA, ending])
    status = "completed" if ending is DONE else "incomplete"
    item = next(event["item"] for event in found if event["type"] == "response.output_item.done")
    part = {"type": "output_text", "text": "FourFour", "annotations": []}
    assert item == {**THEIR_ITEM, "status": status, "content": [part]}
    assert found[-1]["response"]["output"] == [item] and found[-1]["response"]["id"] == f"resp_{H}"


def test_replayed_calls_and_reasoning_are_closed_with_what_came() -> None:
    reasoning = {"id": "rs_theirs", "type": "reasoning", "summary": []}
    call = {"id": "fc_theirs", "type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    records: list[Record] = [
        BEGIN,
        CREATED,
        frame("response.output_item.added", output_index=0, item=reasoning),
        frame("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="Sum"),
        frame("response.output_item.added", output_index=1, item=call),
        frame("response.function_call_arguments.delta", output_index=1, delta='{"a'),
        OVERLOADED,
    ]
    found = {item["id"]: item for item in last(records)["output"]}
    assert found["rs_theirs"]["summary"] == [{"type": "summary_text", "text": "Sum"}]
    assert found["fc_theirs"]["arguments"] == '{"a'


def test_failure_behind_the_providers_own_end_takes_its_place() -> None:
    records: list[Record] = [BEGIN, CREATED, ADDED, PART, DELTA, ITEM_DONE, COMPLETED, LOST]
    kinds = [event["type"] for event in events(records)]
    assert kinds[-1] == "response.failed" and "response.completed" not in kinds


def test_frame_that_only_pythons_json_reads_is_replayed() -> None:
    odd = Frame("responses", "", b'{"type":"response.output_text.delta","delta":"\\ud83d","n":NaN}', (Text("a"),))
    assert events([BEGIN, CREATED, odd])[-1]["delta"] == "\ufffd"


def test_lone_surrogates_become_replacement_characters() -> None:
    response = events([BEGIN, Text("a\ud83d"), DONE])[-1]["response"]
    assert response["output"][0]["content"][0]["text"] == "a\ufffd"
    assert json.loads(RESPONSES_WIRE.whole([BEGIN, Text("a\ud83d"), DONE]).body) == response


RECORDS: list[Record] = [BEGIN, Reasoning("r"), Text("a"), ToolCall(0, "c", "f", "{}")]


frames = st.lists(st.sampled_from([CREATED, ADDED, PART, DELTA, ITEM_DONE, frame("keepalive")]), min_size=1, max_size=8)
replayed_logs = st.builds(
    lambda start, found, ending: [start, *found, *ending],
    st.sampled_from([BEGIN, IN_BACKGROUND]),
    frames,
    st.sampled_from([(COMPLETED, DONE), (DONE,), (OVERLOADED,), (CANCELLED,), (COMPLETED, CANCELLED)]),
)


@given(log=replayed_logs, batches=st.lists(st.integers(1, 4), max_size=8), data=st.data())
def test_replayed_bytes_do_not_depend_on_batches_and_are_resumed(
    log: list[Record], batches: list[int], data: st.DataObject
) -> None:
    assert encode(RESPONSES_WIRE, log, batches) == encode(RESPONSES_WIRE, log)
    whole = events(log)
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    number = data.draw(st.integers(0, len(whole) - 1))
    assert events(log, resume_after=number) == whole[number + 1 :]


@given(ending=st.sampled_from([DONE, OVERLOADED, CANCELLED]), past=st.integers(1, 1000))
def test_client_past_a_stable_end_gets_the_terminal_event_alone(ending: Done | Failed, past: int) -> None:
    whole = events([*RECORDS, ending])
    number = len(whole) - 1
    assert events([*RECORDS, ending], resume_after=number) == [], "the client has the end"
    assert events([*RECORDS, ending], resume_after=number + past) == whole[-1:]


@pytest.mark.parametrize("code", sorted(NOT_BY_PRODUCER))
def test_client_past_an_unstable_end_gets_the_error_too(code: str) -> None:
    records: list[Record] = [*RECORDS, Failed(code, "Why.", True, None, "r", None)]
    whole = events(records)
    for number in range(len(whole) - 1, len(whole) + 20):
        assert events(records, resume_after=number) == whole[-2:]


@pytest.mark.parametrize("code", sorted(FAILURES))
def test_failure_of_the_response_itself_reaches_a_client_at_any_position(code: str) -> None:
    encoder = ResponsesEncoder(BEGIN, resume_after=500)
    assert encoder.encode(0, RECORDS)[0] == b""
    found = parse(encoder.encode_failure(Failed(code, "Why.", True, None, "r", None)))
    assert [event.type for event in found] == (
        ["response.failed"] if code == "cancelled" else ["error", "response.failed"]
    )
