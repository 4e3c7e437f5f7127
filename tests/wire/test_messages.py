"""The wire of Anthropic's Messages: transcripts of translated and of replayed answers, whole messages and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import opaque
from providers.base import AnsweringModel, BlockEnd, Frame, Opaque, Reasoning, RefusalText, Text, ToolCall, UsageDetails
from streamserver.core.refusals import Refusal
from streamserver.log.records import ContinuedText, Done, Failed, Piece, Record, Start, Terminal, TokenUsage
from streamserver.wire.messages import MESSAGES_WIRE
from streamserver.wire.messages_usage import NO_USAGE
from tests.support.records import foreign_logs
from tests.support.sse import parse

START = Start("stream-id_0123456789abc", "request-1", "up", "asked-model", created=1, wire="messages")
USAGE = TokenUsage(25, 17, 42, estimated=False)
PUBLIC = "Q3b0KfliHpmhGOYoHzKafQ"
EMPTY_USAGE = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}


def done(reason: str = "stop", **fields: Any) -> Done:
    return Done(reason, "up", "answered-model", USAGE, 1.0, 2.0, **fields)


def failed(code: str = "overloaded", **fields: Any) -> Failed:
    return Failed(code, "Why.", True, None, "request-1", None, **fields)


def frame(type_: str, *pieces: Any, **fields: Any) -> Frame:
    return Frame("messages", type_, json.dumps({"type": type_, **fields}).encode(), pieces)


def call(index: int, arguments: str, call_id: str | None = None, name: str | None = None, **fields: Any) -> ToolCall:
    return ToolCall(index, call_id, name, arguments, **fields)


def events(*pieces: Piece, end: Terminal | None = None) -> list[dict[str, Any]]:
    """Return the data of the events of an answer, each of which must be named by its type."""
    records = [START, *pieces, end or done()]
    data, count = MESSAGES_WIRE.encoder(START).encode(0, records)
    assert count == len(records)
    found = []
    for event in parse(data):
        fields = json.loads(event.data)
        assert event.type == fields["type"], "both SDKs skip an event with another name"
        found.append(fields)
    return found


def blocks(*pieces: Piece, end: Terminal | None = None) -> list[str]:
    """Return the block events in short: ``0 tool_use call_p get_time``, ``0 +{"a":1}``, ``0 end``."""
    short = []
    for event in events(*pieces, end=end):
        match event:
            case {"type": "content_block_start", "index": index, "content_block": block}:
                values = [str(value) for key, value in block.items() if key != "input" and value]
                short.append(" ".join([str(index), *values]))
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                assert len(delta) == 2
                short.append(f"{index} +{list(delta.values())[1]}")
            case {"type": "content_block_stop", "index": index}:
                short.append(f"{index} end")
    return short


def whole(*pieces: Piece, end: Done | None = None) -> dict[str, Any]:
    answer = MESSAGES_WIRE.whole([START, *pieces, end or done()])
    assert answer.status == 200 and answer.content_type == "application/json"
    message: dict[str, Any] = json.loads(answer.body)
    return message


THINKS_SPEAKS_AND_CALLS: tuple[Piece, ...] = (
    AnsweringModel("answered-model"),
    Reasoning("Sum "),
    Reasoning("it."),
    BlockEnd("reasoning", opaque=Opaque("messages", "asked-model", {"signature": "EqQB"})),
    Text("Fo"),
    Text("ur"),
    BlockEnd("text"),
    call(0, '{"tz":', "toolu_p", "get_time"),
    call(0, '"UTC"}'),
    BlockEnd("tool_call", 0),
)
TRANSCRIPT = """\
event: message_start
data: {"type":"message_start","message":{"id":"msg_PUBLIC","type":"message","role":"assistant",\
"model":"answered-model",\
"content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"usage":{"input_tokens":0,\
"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Sum "}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"it."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Fo"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"ur"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_p","name":"get_time",\
"input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\\"tz\\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"\\"UTC\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null,"stop_details":null},\
"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":17}}

event: message_stop
data: {"type":"message_stop"}

"""


def test_transcript_has_thinking_text_and_a_tool_call() -> None:
    records = [START, *THINKS_SPEAKS_AND_CALLS, done("tool_calls")]
    data, _ = MESSAGES_WIRE.encoder(START).encode(0, records)
    assert data.decode() == TRANSCRIPT.replace("PUBLIC", PUBLIC)


def test_message_has_thinking_text_and_a_tool_call_when_it_is_whole() -> None:
    assert whole(*THINKS_SPEAKS_AND_CALLS, end=done("tool_calls")) == {
        "id": f"msg_{PUBLIC}",
        "type": "message",
        "role": "assistant",
        "model": "answered-model",
        "content": [
            {"type": "thinking", "thinking": "Sum it.", "signature": "EqQB"},
            {"type": "text", "text": "Four"},
            {"type": "tool_use", "id": "toolu_p", "name": "get_time", "input": {"tz": "UTC"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**EMPTY_USAGE, "input_tokens": 25, "output_tokens": 17},
    }


def test_answer_without_pieces_is_a_message_without_content() -> None:
    assert [event["type"] for event in events()] == ["message_start", "message_delta", "message_stop"]
    assert whole()["content"] == [] and whole()["stop_reason"] == "end_turn"


def test_empty_pieces_open_no_block() -> None:
    assert blocks(Text(""), Reasoning(""), Text("a")) == ["0 text", "0 +a", "0 end"]


def test_texts_are_two_blocks_when_the_first_has_ended() -> None:
    pieces = (Text("a"), BlockEnd("text"), ContinuedText("\n"), Text("b"))
    assert blocks(*pieces) == ["0 text", "0 +a", "0 end", "1 text", "1 +\n", "1 +b", "1 end"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (None, ["0 thinking", "0 +Hm.", "0 end"]),
        (Opaque("messages", "m", {"data": "hidden"}), ["0 thinking", "0 +Hm.", "0 end", "1 redacted_thinking hidden",
                                                      "1 end"]),
    ],
)  # fmt: skip
def test_thinking_has_no_signature_when_its_vendor_gave_none(part: Opaque | None, expected: list[str]) -> None:
    assert blocks(Reasoning("Hm."), BlockEnd("reasoning", opaque=part)) == expected


@pytest.mark.parametrize("pieces", [(), (Reasoning("Hm."),)])
def test_signature_seals_reasoning_of_another_vendor_in_one_delta(pieces: tuple[Piece, ...]) -> None:
    part = Opaque("responses", "gpt", {"id": "rs_1", "encrypted_content": "gAAA"})
    content = whole(*pieces, BlockEnd("reasoning", opaque=part), Text("a"))["content"]
    thinking = "Hm." if pieces else ""
    assert content[0].keys() == {"type", "thinking", "signature"} and content[0]["thinking"] == thinking
    assert opaque.unseal(content[0]["signature"]) == part
    assert content[1:] == [{"type": "text", "text": "a"}]


def test_parallel_calls_are_blocks_one_after_the_other() -> None:
    pieces = (call(0, "", "a", "f"), call(0, '{"x":1}'), call(1, "{", "b", "g"), call(1, "}"))
    expected = ["0 tool_use a f", '0 +{"x":1}', "0 end", "1 tool_use b g", "1 +{", "1 +}", "1 end"]
    assert blocks(*pieces) == expected


def test_call_without_id_gets_one_and_without_arguments_an_empty_input() -> None:
    content = whole(call(0, "", None, "f"), BlockEnd("tool_call", 0), call(1, "{}", None, "g"))["content"]
    assert content == [
        {"type": "tool_use", "id": f"toolu_{PUBLIC}_0", "name": "f", "input": {}},
        {"type": "tool_use", "id": f"toolu_{PUBLIC}_1", "name": "g", "input": {}},
    ]


def test_interleaved_calls_wait_until_the_open_one_is_complete() -> None:
    pieces = (
        call(0, '{"x":', "a", "f"), call(1, '{"y":', "b", "g"), call(2, "{}", "c", "h"),
        call(0, "1}"), call(1, "2}"), Text("after"),
    )  # fmt: skip
    assert blocks(*pieces) == [
        "0 tool_use a f", '0 +{"x":', "0 +1}", "0 end",
        "1 tool_use b g", '1 +{"y":', "1 +2}", "1 end",
        "2 tool_use c h", "2 +{}", "2 end",
        "3 text", "3 +after", "3 end",
    ]  # fmt: skip


def test_text_and_thinking_wait_when_they_cut_into_a_call() -> None:
    pieces = (call(0, '{"x":', "a", "f"), Reasoning("Hm."), Text("t"), call(0, "1}"), Text("u"))
    assert whole(*pieces)["content"] == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "tu"},
    ]


def test_waiting_pieces_are_written_at_the_end_when_a_call_is_never_complete() -> None:
    pieces = (call(0, '{"x":', "a", "f"), call(1, '{"y":', "b", "g"), Text("t"), call(1, "3"), call(0, "4"))
    assert blocks(*pieces, end=done("length")) == [
        "0 tool_use a f", '0 +{"x":', "0 +4", "0 end",
        "1 tool_use b g", '1 +{"y":', "1 +3", "1 end",
        "2 text", "2 +t", "2 end",
    ]  # fmt: skip


def test_block_end_closes_a_call_although_its_arguments_are_no_object() -> None:
    pieces = (call(0, "oops", "a", "f"), BlockEnd("tool_call", 0), Text("t"))
    assert blocks(*pieces) == ["0 tool_use a f", "0 +oops", "0 end", "1 text", "1 +t", "1 end"]
    assert whole(*pieces, end=done("tool_calls"))["content"][0]["input"] == {"raw": "oops"}
    assert whole(*pieces, end=done("tool_calls"))["stop_reason"] == "tool_use"


def test_input_of_a_custom_call_is_its_text_in_an_object() -> None:
    pieces = (call(0, 'say "', "a", "f", custom=True), call(0, 'hi"\n', custom=True), BlockEnd("tool_call", 0))
    assert whole(*pieces)["content"][0]["input"] == {"input": 'say "hi"\n'}
    partial = [event["delta"]["partial_json"] for event in events(*pieces) if event["type"] == "content_block_delta"]
    assert partial == ['{"input":"say \\"', 'hi\\"\\n', '"}']
    assert whole(call(0, "", "a", "f", custom=True))["content"][0]["input"] == {"input": ""}


@pytest.mark.parametrize(
    ("end", "reason", "sequence"),
    [
        (done("stop"), "end_turn", None),
        (done("stop", stop_sequence="END"), "stop_sequence", "END"),
        (done("length"), "max_tokens", None),
        (done("tool_calls"), "tool_use", None),
        (done("content_filter"), "refusal", None),
        (done("a_word_of_its_own"), "end_turn", None),
        (done("stop", provider_reason="pause_turn"), "pause_turn", None),
        (done("length", provider_reason="model_context_window_exceeded"), "model_context_window_exceeded", None),
    ],
)
def test_stop_reason_tells_how_the_answer_ended(end: Done, reason: str, sequence: str | None) -> None:
    *_, delta, _ = events(Text("a"), end=end)
    assert delta["delta"] == {"stop_reason": reason, "stop_sequence": sequence, "stop_details": None}
    message = whole(Text("a"), end=end)
    assert (message["stop_reason"], message["stop_sequence"]) == (reason, sequence)


def test_refusal_is_text_with_a_stop_reason_of_its_own() -> None:
    *_, delta, _ = events(RefusalText("No."))
    assert delta["delta"]["stop_reason"] == "refusal"
    assert whole(Text("Well. "), RefusalText("No."))["content"] == [{"type": "text", "text": "Well. No."}]


def test_usage_counts_cached_and_written_tokens_apart_from_the_input() -> None:
    details = UsageDetails(
        cached_tokens=10,
        cache_write_tokens=5,
        cache_write_5m_tokens=2,
        cache_write_1h_tokens=3,
        reasoning_tokens=7,
    )
    assert whole(end=done(usage_details=details))["usage"] == {
        "input_tokens": 10,
        "cache_read_input_tokens": 10,
        "cache_creation_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
        "output_tokens": 17,
        "output_tokens_details": {"thinking_tokens": 7},
    }


def test_usage_has_numbers_when_nothing_is_known() -> None:
    message = whole(end=Done("stop", "up", "m", None, None, 2.0))
    assert message["usage"] == EMPTY_USAGE


def test_error_ends_the_stream_without_a_stop() -> None:
    *before, last = events(Text("a"), end=failed())
    assert [event["type"] for event in before] == ["message_start", "content_block_start", "content_block_delta"]
    assert last == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Why."},
        "request_id": "request-1",
    }


def test_error_before_the_first_piece_is_a_status() -> None:
    answer = MESSAGES_WIRE.failure(failed("context_length"))
    assert answer.status == 400
    assert json.loads(answer.body)["error"] == {
        "type": "invalid_request_error",
        "message": "prompt is too long: Why.",
    }


def test_refusal_of_a_request_names_its_field() -> None:
    answer = MESSAGES_WIRE.refusal(Refusal("invalid_request", "Why.", field="top_p"), "r-1")
    assert (answer.status, json.loads(answer.body)) == (
        400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "top_p: Why."}, "request_id": "r-1"},
    )


REPLAYED = (
    frame("message_start", message={"id": "msg_vendor", "type": "message", "role": "assistant", "model": "claude",
                                    "content": [], "usage": {"input_tokens": 3, "output_tokens": 1, "speed": "fast"}}),
    frame("content_block_start", index=0, content_block={"type": "server_tool_use", "id": "s", "name": "web_search",
                                                         "input": {}}),
    frame("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"q":"x"}'}),
    frame("content_block_stop", index=0),
    frame("content_block_start", index=1, content_block={"type": "text", "text": "", "citations": []}),
    frame("content_block_delta", Text("a"), index=1, delta={"type": "text_delta", "text": "a"}),
    frame("content_block_delta", index=1, delta={"type": "citations_delta", "citation": {"url": "u"}}),
    frame("content_block_stop", BlockEnd("text"), index=1),
    frame("content_block_start", index=2, content_block={"type": "compaction", "content": None}),
    frame("content_block_delta", index=2, delta={"type": "compaction_delta", "content": "c", "encrypted_content": "e"}),
    frame("content_block_stop", index=2),
    frame("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None, "container": {"id": "c"}},
          usage={"output_tokens": 9, "input_tokens": 3}, context_management={"applied_edits": []}),
    frame("message_stop"),
)  # fmt: skip


def test_frames_of_the_same_protocol_are_replayed_as_they_came() -> None:
    data, _ = MESSAGES_WIRE.encoder(START).encode(0, [START, *REPLAYED, done()])
    assert data == b"".join(b"event: %b\ndata: %b\n\n" % (each.type.encode(), each.data) for each in REPLAYED)


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        ({}, {"usage": NO_USAGE}),
        ({"usage": None}, {"usage": NO_USAGE}),
        ({"usage": {"input_tokens": 3, "speed": "fast"}}, {"usage": {**NO_USAGE, "input_tokens": 3, "speed": "fast"}}),
        ({"usage": {"input_tokens": 3, "output_tokens": None}}, {"usage": {**NO_USAGE, "input_tokens": 3}}),
    ],
)
def test_replayed_start_has_the_counts_that_clients_demand(counted: dict[str, Any], expected: dict[str, Any]) -> None:
    message = {"id": "msg_vendor", "model": "claude", "content": []}
    start = frame("message_start", message={**message, **counted})
    assert events(start, *REPLAYED[1:])[0]["message"] == {**message, **expected}


def test_replayed_start_names_a_model_although_the_provider_names_none() -> None:
    start = frame("message_start", message={"id": "msg_vendor", "usage": {"input_tokens": 3, "output_tokens": 1}})
    assert events(start, *REPLAYED[1:])[0]["message"]["model"] == "asked-model"


def test_message_of_frames_is_whole_with_everything_its_vendor_sent() -> None:
    assert whole(*REPLAYED) == {
        "id": "msg_vendor",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": "x"}},
            {"type": "text", "text": "a", "citations": [{"url": "u"}]},
            {"type": "compaction", "content": "c", "encrypted_content": "e"},
        ],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "container": {"id": "c"},
        "context_management": {"applied_edits": []},
        "usage": {"input_tokens": 3, "output_tokens": 9, "speed": "fast"},
    }


def test_message_is_whole_when_its_first_frame_holds_all_of_it() -> None:
    content = [{"type": "text", "text": "a"}]
    message = {"id": "msg_vendor", "type": "message", "role": "assistant", "content": content, "usage": {}}
    start = frame("message_start", message=message)
    assert whole(start, frame("message_stop", Text("a")))["content"] == content


def test_message_is_whole_when_a_frame_escapes_half_a_character() -> None:
    half = Frame("messages", "message_start", b'{"type":"message_start","message":{"content":[],"id":"\\ud83d"}}')
    assert whole(half, *REPLAYED[1:])["id"] == "\ufffd"


def test_error_replaces_the_rest_of_replayed_frames() -> None:
    assert [event["type"] for event in events(*REPLAYED[:6], end=failed("timeout"))][-2:] == [
        "content_block_delta",
        "error",
    ]


def test_frames_of_another_protocol_are_translated() -> None:
    other = Frame("chat", "", b'{"choices":[]}', (Text("a"), call(0, "{}", "c", "f")))
    assert blocks(other) == ["0 text", "0 +a", "0 end", "1 tool_use c f", "1 +{}", "1 end"]


@given(foreign_logs("messages"))
def test_one_block_is_open_at_a_time_and_indices_have_no_gaps(records: list[Record]) -> None:
    data, opened, index = b"", None, -1
    encoder = MESSAGES_WIRE.encoder(START)
    for offset, record in enumerate(records):
        data += encoder.encode(offset, [record])[0]
    for event in (json.loads(each.data) for each in parse(data)):
        match event["type"]:
            case "content_block_start":
                assert opened is None and event["index"] == index + 1
                opened, index = event["content_block"]["type"], event["index"]
            case "content_block_delta":
                expected = {"thinking_delta": "thinking", "signature_delta": "thinking", "text_delta": "text"}
                assert event["index"] == index and opened == expected.get(event["delta"]["type"], "tool_use")
            case "content_block_stop":
                assert event["index"] == index and opened is not None
                opened = None
            case "message_delta":
                assert opened is None


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.booleans(), min_size=30, max_size=30))
def test_no_argument_is_lost_or_moved_however_calls_interleave(order: list[int], texts: list[bool]) -> None:
    counts = {index: order.count(index) for index in dict.fromkeys(order)}
    seen = dict.fromkeys(counts, 0)
    pieces: list[Piece] = []
    for index, has_text in zip(order, texts, strict=False):
        seen[index] += 1
        text = f'{"{" if seen[index] == 1 else ""}"{seen[index]}":1{"}" if seen[index] == counts[index] else ","}'
        pieces.append(call(index, text, f"c{index}", f"f{index}") if seen[index] == 1 else call(index, text))
        pieces += [Text("t")] if has_text else []
    content = whole(*pieces)["content"]
    inputs = {block["name"]: block["input"] for block in content if block["type"] == "tool_use"}
    expected = {f"f{index}": {str(n + 1): 1 for n in range(count)} for index, count in counts.items()}
    assert inputs == expected
    spoken = "".join(block["text"] for block in content if block["type"] == "text")
    assert spoken == "t" * sum(isinstance(piece, Text) for piece in pieces)


def test_end_of_turn_after_a_tool_call_is_replayed_as_tool_use() -> None:
    ending = frame("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
    found = events(REPLAYED[0], ending, frame("message_stop"), end=done("tool_calls", provider_reason="end_turn"))
    assert found[-2]["delta"]["stop_reason"] == "tool_use"


@pytest.mark.parametrize("own", [{"output_tokens": 9}, {"output_tokens": 9, "input_tokens": None, "speed": "fast"}])
def test_replayed_end_has_both_counts(own: dict[str, Any]) -> None:
    ending = frame("message_delta", delta={"stop_reason": "end_turn"}, usage=own)
    usage = events(REPLAYED[0], ending, frame("message_stop"))[-2]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (USAGE.prompt_tokens, 9)
    assert usage.get("speed") == own.get("speed")


COUNT = {"output_tokens": 9}
ENDS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "null after the reason": ([{"delta": {"stop_reason": "end_turn"}}, {"delta": {"stop_reason": None}}], "end_turn"),
    "null before the reason": ([{"delta": {"stop_reason": None}}, {"delta": {"stop_reason": "end_turn"}}], "end_turn"),
    "beside the delta": ([{"stop_reason": "end_turn"}], "end_turn"),
    "in the last event only": ([], "end_turn"),
    "a word of another API": ([{"delta": {"stop_reason": "stop"}}], "end_turn"),
    "tools that were not called": ([{"delta": {"stop_reason": "tool_use"}}], "tool_use"),
    "a word of the API's own": ([{"delta": {"stop_reason": "pause_turn"}}], "pause_turn"),
}


@pytest.mark.parametrize(("deltas", "reason"), ENDS.values(), ids=ENDS)
def test_replayed_end_has_its_reason_last(deltas: list[dict[str, Any]], reason: str) -> None:
    ending = [frame("message_delta", usage=COUNT, **fields) for fields in deltas]
    found = events(REPLAYED[0], *ending, frame("message_stop"))
    assert [event["type"] for event in found[-2:]] == ["message_delta", "message_stop"]
    assert found[-2]["delta"]["stop_reason"] == reason
    assert isinstance(found[-2]["usage"]["output_tokens"], int)
