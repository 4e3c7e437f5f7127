"""The wire of chat completions: transcripts of every kind of piece, translated and replayed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers import opaque
from providers.base import (
    BlockEnd,
    ContentEvent,
    Delta,
    Frame,
    Opaque,
    Reasoning,
    RefusalText,
    Text,
    ToolCall,
    UsageDetails,
)
from providers.openai.chat_stream import ChatParser
from providers.parser import FrameParser
from streamserver.log.codec import decode
from streamserver.log.codec import encode as encode_records
from streamserver.log.records import Done, Failed, Record, Start, Terminal, TokenUsage
from streamserver.wire.chat import CHAT_WIRE
from streamserver.wire.ids import public_hash
from tests.support.sse import parse
from tests.wire.test_every_wire import encode

STREAM_ID = "stream-id_0123456789abc"
HASH = public_hash(STREAM_ID)
USAGE = TokenUsage(9, 7, 16, estimated=False)
COUNTS = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}


def log(*pieces: ContentEvent | Frame, end: Terminal | str = "stop", **options: Any) -> list[Record]:
    start = Start(STREAM_ID, "r-1", "p", "m", created=1_790_000_000, wire="chat", options=options)
    return [start, *pieces, Done(end, "p", "m-2", USAGE, 1.0, 2.0) if isinstance(end, str) else end]


def failure(code: str = "upstream_disconnected") -> Failed:
    return Failed(code, "It broke.", True, None, "r-1", USAGE)


def transcript(records: Sequence[Record]) -> list[Any]:
    """Return the data of all events."""
    return [json.loads(data) if data != "[DONE]" else data for data in _data(records)]


def _data(records: Sequence[Record]) -> list[str]:
    events = parse(encode(CHAT_WIRE, records))
    assert {event.type for event in events} <= {"message"}
    return [event.data for event in events]


def choices(records: Sequence[Record]) -> list[Any]:
    """Return ``[delta, finish_reason]`` of each chunk, and whatever else there is as it is."""
    told = []
    for each in transcript(records):
        if isinstance(each, dict) and each.get("choices"):
            assert (each["object"], len(each["choices"]), each["choices"][0]["index"]) == (
                "chat.completion.chunk",
                1,
                0,
            )
            told.append([each["choices"][0]["delta"], each["choices"][0].get("finish_reason")])
        else:
            told.append(each)
    return told


def message(records: Sequence[Record]) -> dict[str, Any]:
    completion = json.loads(CHAT_WIRE.whole(records).body)
    assert completion["object"] == "chat.completion" and completion["usage"].items() >= COUNTS.items()
    only = completion["choices"][0]
    return {**only["message"], "finish_reason": only["finish_reason"]}


ROLE = [{"role": "assistant", "content": ""}, None]
CALL_ROLE = [{"role": "assistant", "content": None}, None]


def end(reason: str = "stop") -> list[Any]:
    return [[{}, reason], "[DONE]"]


def call(index: int, call_id: str, name: str, arguments: str) -> list[Any]:
    function = {"name": name, "arguments": arguments}
    return [{"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]}, None]


def more(index: int, arguments: str) -> list[Any]:
    return [{"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}, None]


def test_every_chunk_has_the_same_id_and_time_when_an_answer_is_translated() -> None:
    assert _data(log(Text("Four"), include_usage=True)) == [
        f'{{"id":"chatcmpl-{HASH}","object":"chat.completion.chunk","created":1790000000,"model":"m",{rest}}}'
        for rest in (
            '"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]',
            '"choices":[{"index":0,"delta":{"content":"Four"},"finish_reason":null}]',
            '"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]',
            '"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":7,"total_tokens":16}',
        )
    ] + ["[DONE]"]


OPAQUE = Opaque("messages", "m", {"signature": "s"})
SEALED = [{"type": "reasoning.encrypted", "data": opaque.seal(OPAQUE)}]
SIGNED = {"extra_content": {"google": {"thought_signature": "s"}}}


@pytest.mark.parametrize(
    ("pieces", "reason", "told", "whole"),
    [
        pytest.param([], "stop", [ROLE, *end()], {"content": ""}, id="empty"),
        pytest.param(
            [Text("a"), Text("b")],
            "length",
            [ROLE, [{"content": "a"}, None], [{"content": "b"}, None], *end("length")],
            {"content": "ab"},
            id="length",
        ),
        pytest.param(
            [Text("a")],
            "content_filter",
            [ROLE, [{"content": "a"}, None], *end("content_filter")],
            {"content": "a"},
            id="filter",
        ),
        pytest.param(
            [Text("a")],
            "eos_found",
            [ROLE, [{"content": "a"}, None], *end("eos_found")],
            {"content": "a"},
            id="own word",
        ),
        pytest.param(
            [Text("a")], "pause_turn", [ROLE, [{"content": "a"}, None], *end()], {"content": "a"}, id="pause_turn"
        ),
        pytest.param(
            [RefusalText("No.")],
            "content_filter",
            [ROLE, [{"refusal": "No."}, None], *end()],
            {"content": None, "refusal": "No."},
            id="refusal",
        ),
        pytest.param(
            [Reasoning("r"), Text("a")],
            "stop",
            [ROLE, [{"reasoning_content": "r"}, None], [{"content": "a"}, None], *end()],
            {"content": "a", "reasoning_content": "r"},
            id="reasoning",
        ),
        pytest.param(
            [Reasoning("r"), BlockEnd("reasoning", opaque=OPAQUE), Text("a"), BlockEnd("text")],
            "stop",
            [
                ROLE,
                [{"reasoning_content": "r"}, None],
                [{"reasoning_details": SEALED}, None],
                [{"content": "a"}, None],
                *end(),
            ],
            {"content": "a", "reasoning_content": "r", "reasoning_details": SEALED},
            id="opaque reasoning",
        ),
        pytest.param(
            [
                ToolCall(3, "c1", "f", ""),
                ToolCall(3, None, None, "{"),
                ToolCall(5, None, "g", "{}"),
                ToolCall(3, None, None, "}"),
            ],
            "tool_calls",
            [
                CALL_ROLE,
                call(0, "c1", "f", ""),
                more(0, "{"),
                call(1, f"call_{HASH}_1", "g", "{}"),
                more(0, "}"),
                *end("tool_calls"),
            ],
            {
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": f"call_{HASH}_1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
            id="interleaved calls, one without an id",
        ),
        pytest.param(
            [ToolCall(0, "c1", "grep", "a", SIGNED, custom=True)],
            "tool_calls",
            [
                CALL_ROLE,
                [
                    {
                        "tool_calls": [
                            {
                                "index": 0,
                                "id": "c1",
                                "type": "custom",
                                "custom": {"name": "grep", "input": "a"},
                                **SIGNED,
                            }
                        ]
                    },
                    None,
                ],
                *end("tool_calls"),
            ],
            {
                "content": None,
                "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "grep", "input": "a"}, **SIGNED}],
            },
            id="custom call with a signature",
        ),
    ],
)
def test_answer_of_another_protocol_is_translated(
    pieces: list[Delta], reason: str, told: list[Any], whole: dict[str, Any]
) -> None:
    records = log(*pieces, end=reason)
    assert choices(records) == told
    finish_reason = told[-2][1]
    assert message(records) == {"role": "assistant", "refusal": None, "finish_reason": finish_reason, **whole}


def test_failure_is_an_error_without_a_finish_when_a_stream_has_begun() -> None:
    error = {"message": "It broke.", "type": "server_error", "param": None, "code": "upstream_disconnected"}
    assert choices(log(Text("a"), end=failure())) == [ROLE, [{"content": "a"}, None], {"error": error}]
    assert choices(log(frames(chunk({"content": "a"}))[0], end=failure()))[1:] == [{"error": error}]
    error = {"message": "It broke.", "type": "server_error", "param": None, "code": "cancelled"}
    assert choices(log(end=failure("cancelled"))) == [{"error": error}]


def test_usage_tells_only_the_details_that_are_known() -> None:
    details = UsageDetails(cached_tokens=4, cache_write_tokens=1, reasoning_tokens=3)
    records = log(Text("a"), end=Done("stop", "p", "m", USAGE, 1, 2, usage_details=details), include_usage=True)
    assert transcript(records)[-2]["usage"] == {
        **COUNTS,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **extra: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-theirs",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "theirs-1",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}],
        **extra,
    }


def frames(*chunks: dict[str, Any] | bytes) -> list[Frame]:
    """Return the frames that the parser makes of a provider's chunks."""
    parser = FrameParser(ChatParser(), "chat")
    data = [each if isinstance(each, bytes) else json.dumps(each, separators=(",", ":")).encode() for each in chunks]
    return [event for each in data for event in parser.events("", each) if isinstance(event, Frame)]


def test_chunks_are_replayed_to_the_byte_when_nothing_is_wrong_with_them() -> None:
    chunks = [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "a \ud83d\ude00 \u2028"}, service_tier="flex"),
        chunk({"reasoning_content": "r", "vendor": [1.50]}),
        chunk(
            {
                "tool_calls": [
                    {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
                ]
            }
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": " "}}]}),
        chunk({}, "tool_calls"),
        chunk(choices=[], usage={**COUNTS, "cost": 0.5}),
    ]
    sent = [json.dumps(each, separators=(",", ":")) for each in chunks]
    assert _data(log(*frames(*chunks), include_usage=True)) == [*sent, "[DONE]"]
    assert _data(log(*frames(*chunks))) == [*sent[:-1], "[DONE]"]


def test_padding_and_null_usage_are_left_out_of_every_chunk() -> None:
    padded = [chunk({"content": "a\\"}, usage=None, obfuscation="x1"), chunk({}, "stop", usage=None, obfuscation="")]
    padded.insert(0, chunk({"role": "assistant", "content": ""}, usage=None, obfuscation="y"))
    clean = [{name: value for name, value in each.items() if name not in ("usage", "obfuscation")} for each in padded]
    spaced = json.dumps(padded[1]).encode()
    assert transcript(log(*frames(*padded))) == [*clean, "[DONE]"]
    assert transcript(log(*frames(padded[0], spaced, padded[2]))) == [*clean, "[DONE]"]


def test_words_in_a_text_are_not_taken_for_fields() -> None:
    text = '"role":"x","usage":null,"obfuscation":"z","error":"message"'
    records = log(*frames(chunk({"role": "assistant", "content": ""}), chunk({"content": text}), chunk({}, "stop")))
    assert choices(records)[1] == [{"content": text}, None]


@pytest.mark.parametrize("role", [{"role": "assistant"}, {}], ids=["on every chunk", "on none"])
def test_role_is_on_the_first_chunk_only_when_the_provider_sends_it(role: dict[str, str]) -> None:
    records = log(*frames(chunk({**role, "content": "a"}), chunk({**role, "content": "b"}), chunk(role, "stop")))
    assert choices(records) == [[{"role": "assistant", "content": "a"}, None], [{"content": "b"}, None], *end()]
    assert message(records)["role"] == "assistant" and message(records)["content"] == "ab"


def test_null_error_is_left_out() -> None:
    records = log(*frames(chunk({"role": "assistant"}), chunk({"content": "a"}, error=None), chunk({}, "stop")))
    assert not any("error" in each for each in transcript(records))


def test_each_choice_has_its_own_role_and_end_when_several_are_asked_for() -> None:
    def of(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return chunk(choices=[{"index": index, "delta": delta, "finish_reason": finish}])

    own = [of(0, {"content": "a"}), of(1, {"content": "x"}), of(1, {"content": "y"}, "length"), of(0, {}, "stop")]
    records = log(*frames(*own))
    told = [(each["choices"][0]["index"], each["choices"][0]["delta"]) for each in transcript(records)[:-1]]
    assert told == [
        (0, {"role": "assistant", "content": "a"}),
        (1, {"role": "assistant", "content": "x"}),
        (1, {"content": "y"}),
        (0, {}),
    ]
    whole = json.loads(CHAT_WIRE.whole(records).body)["choices"]
    assert [(each["message"]["content"], each["finish_reason"]) for each in whole] == [("a", "stop"), ("xy", "length")]


def test_first_choice_has_its_role_when_another_began_before_it() -> None:
    own = [chunk(choices=[{"index": index, "delta": {"content": "a"}, "finish_reason": None}]) for index in (1, 0, 0)]
    told = [(each["choices"][0]["index"], each["choices"][0]["delta"]) for each in transcript(log(*frames(*own)))[:3]]
    assert told == [
        (1, {"role": "assistant", "content": "a"}),
        (0, {"role": "assistant", "content": "a"}),
        (0, {"content": "a"}),
    ]


FIRST = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
BROKEN_CALLS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no index": ([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}], "{}"),
    "first index 1": ([{**FIRST, "index": 1}, {"index": 1, "function": {"arguments": "{}"}}], "{}"),
    "no type": ([{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}], "{}"),
    "id and name repeated": ([FIRST, {**FIRST, "function": {"name": "f", "arguments": "{}"}}], "{}"),
    "arguments as an object": ([{**FIRST, "function": {"name": "f", "arguments": {"a": 1}}}], '{"a":1}'),
    "no arguments": ([FIRST], "{}"),
    "another id with every piece": (
        [
            FIRST,
            {"index": 0, "id": "d", "function": {"arguments": '{"a":'}},
            {"index": 0, "id": "e", "function": {"arguments": "1}"}},
        ],
        '{"a":1}',
    ),
    "the name after the id": (
        [{"index": 0, "id": "c", "type": "function"}, {"index": 0, "function": {"name": "f", "arguments": "{}"}}],
        "{}",
    ),
}


@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
@pytest.mark.parametrize(("calls", "arguments"), BROKEN_CALLS.values(), ids=BROKEN_CALLS.keys())
def test_tool_call_is_mended_when_its_provider_breaks_the_rules(
    calls: list[dict[str, Any]], arguments: str, reason: str
) -> None:
    records = log(*frames(*(chunk({"tool_calls": [each]}) for each in calls), chunk({}, reason)), end="tool_calls")
    pieces = [piece for delta, _ in choices(records)[:-1] for piece in delta.get("tool_calls", ())]
    assert pieces[0]["id"] == "c" and pieces[0]["type"] == "function" and pieces[0]["function"]["name"] == "f"
    assert {piece["index"] for piece in pieces} == {0}
    assert all(piece.keys() == {"index", "function"} for piece in pieces[1:])
    assert all(piece["function"].keys() == {"arguments"} for piece in pieces[1:])
    assert "".join(piece["function"]["arguments"] for piece in pieces) == arguments
    assert choices(records)[-2][1] == "tool_calls"
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    assert message(records)["tool_calls"] == [call] and message(records)["finish_reason"] == "tool_calls"


def test_finish_reason_comes_once_when_the_provider_repeats_it() -> None:
    records = log(*frames(chunk({"content": "a"}), chunk({}, "length"), chunk({}, "length", usage=COUNTS)))
    assert [finish for _, finish in choices(records)[:-1]] == [None, "length", None]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("eos", "stop"), ("MAX_TOKENS", "length"), ("tool_calls", "tool_calls"), ("a_new_word", "a_new_word")],
)
def test_finish_reason_in_another_family_of_words_is_translated(word: str, expected: str) -> None:
    empty = {"index": 0, "id": "", "function": {"name": "", "arguments": ""}}
    records = log(*frames(chunk({"content": "a", "tool_calls": [empty]}), chunk({}, word)), end=expected)
    assert choices(records)[:-1] == [[{"role": "assistant", "content": "a"}, None], [{}, expected]]
    assert message(records)["finish_reason"] == expected


def test_call_is_told_with_the_end_when_its_name_is_awaited() -> None:
    call = {"index": 0, "type": "function", "function": {"name": "f"}}
    records = log(*frames(chunk({"tool_calls": [call]}), chunk({}, "tool_calls")), end="tool_calls")
    (told,) = message(records)["tool_calls"]
    assert told["id"] and told["function"] == {"name": "f", "arguments": "{}"}
    assert choices(records)[-2][0]["tool_calls"] == [{"index": 0, **told}]


@pytest.mark.parametrize(
    ("content", "reasoning"),
    [
        ([{"type": "text", "text": "Hi"}], None),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Hi"}], "Hm"),
    ],
    ids=["text", "thinking"],
)
def test_content_in_parts_is_told_as_text(content: list[Any], reasoning: str | None) -> None:
    records = log(*frames(chunk({"content": content}), chunk({"content": "!"}), chunk({}, "stop")))
    first, *_ = choices(records)
    assert (first[0]["content"], first[0].get("reasoning_content")) == ("Hi", reasoning)
    assert message(records)["content"] == "Hi!"


def test_parts_that_cannot_be_read_are_passed_on() -> None:
    content = [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    first, *_ = choices(log(*frames(chunk({"content": content}), chunk({}, "stop"))))
    assert first[0]["content"] == content


def test_text_of_the_completions_before_chat_is_told_in_a_delta() -> None:
    own = [chunk(choices=[{"index": 0, "text": text, "finish_reason": None}]) for text in "ab"]
    records = log(*frames(*own, chunk({}, "stop", usage=COUNTS)))
    assert [delta.get("content") for delta, _ in choices(records)[:-1]] == ["a", "b", None]


@pytest.mark.parametrize("odd", [{"choices": {"index": 0, "delta": {"content": "b"}}}], ids=["an object"])
def test_choices_that_are_no_list_are_mended(odd: dict[str, Any]) -> None:
    records = log(*frames(chunk({"content": "a"}), chunk(**odd), chunk({}, "stop")))
    assert [delta.get("content") for delta, _ in choices(records)[:-1]] == ["a", "b", None]


def test_a_count_with_a_fraction_of_zero_is_a_whole_number() -> None:
    usage = {"prompt_tokens": 12.0, "completion_tokens": 3.0, "total_tokens": 15.0}
    *_, last, _ = _data(log(*frames(chunk({"content": "a"}), chunk({}, "stop", usage=usage)), include_usage=True))
    assert '"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15' in last


@pytest.mark.parametrize("count", [0, -1, 10**30, "7", True])
def test_a_count_that_is_none_is_ours(count: Any) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}
    *_, last, _ = transcript(log(*frames(chunk({"content": "a"}), chunk({}, "stop", usage=usage)), include_usage=True))
    assert last["usage"] == COUNTS


def test_finish_reason_null_as_a_word_is_none() -> None:
    records = log(*frames(chunk({"content": "a"}, "null"), chunk({"content": "b"}, "null"), chunk({}, "stop")))
    assert [finish for _, finish in choices(records)[:-1]] == [None, None, "stop"]


def test_usage_comes_last_and_alone_when_the_provider_sends_it_with_each_chunk() -> None:
    usage = {**COUNTS, "prompt_tokens_details": None}
    chunks = [chunk({"content": "a"}, usage={**usage, "completion_tokens": 1}), chunk({}, "stop", usage=usage)]
    *deltas, last, done = transcript(log(*frames(*chunks), include_usage=True))
    assert not any("usage" in each for each in deltas)
    assert (last["choices"], last["usage"], last["id"], done) == ([], COUNTS, "chatcmpl-theirs", "[DONE]")
    assert not any("usage" in each for each in transcript(log(*frames(*chunks))))


def test_usage_is_ours_in_the_providers_envelope_when_it_sent_none() -> None:
    *_, last, _ = transcript(log(*frames(chunk({"content": "a"}), chunk({}, "stop")), include_usage=True))
    assert (last["choices"], last["usage"], last["id"]) == ([], COUNTS, "chatcmpl-theirs")


def test_chunk_without_choices_is_left_out() -> None:
    filters = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": []}
    records = log(*frames(filters, chunk({"content": "a"}), chunk({}, "stop")))
    assert choices(records) == [[{"role": "assistant", "content": "a"}, None], *end()]


@pytest.mark.parametrize(
    "wrong", [{"object": "chat.completion"}, {"object": ""}, {"id": ""}, {"model": None}, {"created": "5"}], ids=str
)
def test_envelope_is_mended_on_every_token_when_its_provider_breaks_the_rules(wrong: dict[str, Any]) -> None:
    # openai-python's helper skips a chunk with another object, and its text with it:
    # https://github.com/openai/openai-python/blob/main/src/openai/lib/streaming/chat/_completions.py
    chunks = [chunk({"content": text}, **wrong) for text in "abc"]
    told = frames(*chunks, {**chunk(choices=[], usage=COUNTS), **wrong})
    ours = {"id": f"chatcmpl-{HASH}", "object": "chat.completion.chunk", "model": "m", "created": 1_790_000_000}
    for name in wrong:
        assert {each[name] for each in transcript(log(*told, include_usage=True))[:-1]} == {ours[name]}
    whole = json.loads(CHAT_WIRE.whole(log(*told)).body)
    assert (whole["id"] in (ours["id"], "chatcmpl-theirs"), type(whole["created"])) == (True, int)
    assert whole["model"] in ("theirs-1", "m-2")


def test_whole_answer_leaves_out_calls_when_there_are_none() -> None:
    for delta in ({"content": "a", "tool_calls": None}, {"content": "a", "tool_calls": []}):
        assert "tool_calls" not in message(log(*frames(chunk(delta), chunk({}, "stop"))))


def test_whole_message_is_replayed_as_a_delta() -> None:
    whole = chunk(choices=[{"index": 0, "message": {"role": "assistant", "content": "ab"}, "finish_reason": "stop"}])
    assert choices(log(*frames(whole))) == [[{"role": "assistant", "content": "ab"}, "stop"], "[DONE]"]
    assert message(log(*frames(whole)))["content"] == "ab"
    records = log(*frames(chunk({"content": "ab"}), whole))
    assert "".join(delta.get("content", "") for delta, _ in choices(records)[:-1]) == "ab"


def test_lone_surrogate_in_a_chunk_breaks_no_answer() -> None:
    data = json.dumps(chunk({"content": "a"})).replace('"a"', '"\\ud83d"').encode()
    records = log(*frames(data, data, chunk({}, "stop")))
    assert message(records)["content"] == "\ufffd\ufffd"
    assert choices(records)[0] == [{"role": "assistant", "content": "\ufffd"}, None]


def test_whole_answer_keeps_the_fields_of_its_provider() -> None:
    logprobs: dict[str, Any] = {
        "content": [{"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}],
        "refusal": None,
    }
    pieces = [chunk({"content": "a"}), chunk({"content": "b"}), chunk({}, "stop")]
    for piece in pieces[:2]:
        piece["choices"][0]["logprobs"] = logprobs
    pieces[2]["choices"][0]["delta"] = {"annotations": [{"type": "url_citation"}]}
    usage = chunk(choices=[], usage={**COUNTS, "cost": 1})
    completion = json.loads(CHAT_WIRE.whole(log(*frames(*pieces, usage))).body)
    assert {name: completion[name] for name in ("id", "created", "model", "system_fingerprint", "usage")} == {
        "id": "chatcmpl-theirs",
        "created": 5,
        "model": "theirs-1",
        "system_fingerprint": "fp_1",
        "usage": {**COUNTS, "cost": 1},
    }
    only = completion["choices"][0]
    assert only["message"] == {
        "role": "assistant",
        "content": "ab",
        "refusal": None,
        "annotations": [{"type": "url_citation"}],
    }
    assert len(only["logprobs"]["content"]) == 2


def test_frames_of_another_protocol_are_translated() -> None:
    frame = Frame("messages", "content_block_delta", b"{}", (Reasoning("r"), Text("a")))
    assert choices(log(frame)) == [ROLE, [{"reasoning_content": "r"}, None], [{"content": "a"}, None], *end()]
    assert message(log(frame))["content"] == "a"


hard_pieces = st.sampled_from([*'"\\a\n/é', "\u2028", '","role":"x', "usage", '"}}],"usage":{'])
texts = st.lists(hard_pieces, min_size=1, max_size=4).map("".join)


@given(
    told=st.lists(st.tuples(st.sampled_from(["content", "reasoning_content"]), texts), min_size=1, max_size=8),
    compact=st.booleans(),
    ascii_only=st.booleans(),
    extra=st.sampled_from([{}, {"usage": None}, {"obfuscation": "x"}, {"usage": None, "obfuscation": "y"}]),
)
@example(told=[("content", "a"), ("content", "b\\"), ("content", 'c"')], compact=True, ascii_only=True, extra={})
@example(
    told=[("content", word) for word in ("a", "b", "c", "d")],
    compact=True,
    ascii_only=False,
    extra={"usage": None, "obfuscation": "y"},
)
def test_every_token_is_replayed_whatever_its_text_and_those_before(
    told: list[tuple[str, str]], compact: bool, ascii_only: bool, extra: dict[str, Any]
) -> None:
    first = chunk({"role": "assistant", "content": ""})
    separators = (",", ":") if compact else (", ", ": ")
    chunks = [
        json.dumps(chunk({name: text}, **extra), separators=separators, ensure_ascii=ascii_only).encode()
        for name, text in told
    ]
    records = log(*frames(first, *chunks))
    assert choices(records)[1:-2] == [[{name: text}, None] for name, text in told]
    assert not any("obfuscation" in each or "usage" in each for each in transcript(records)[:-1])
    from_elsewhere = decode(encode_records(records))  # a frame's shape stays at its node
    assert _data(from_elsewhere) == _data(records)


def test_role_behind_a_text_is_left_out_when_the_chunk_before_had_none() -> None:
    late = chunk({"content": "c", "role": "assistant"})
    own = [chunk({"role": "assistant"}), chunk({"content": "a"}), chunk({"content": "b"}), late]
    assert choices(log(*frames(*own)))[3] == [{"content": "c"}, None]
