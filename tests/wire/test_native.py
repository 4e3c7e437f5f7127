"""The native format: what every format keeps, and the wire contract to the letter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from providers.base import BlockEnd, Delta, Frame, Reasoning, Text, ToolCall
from streamserver.log.records import ContinuedText, Done, Failed, Record, Start
from streamserver.wire.base import Encoder
from streamserver.wire.native import NativeEncoder
from streamserver.wire.native_wire import NATIVE_WIRE
from tests.contracts.encoder import EncoderContract, encode_all
from tests.support.records import DONE, FAILED, START, any_text, as_generated, deltas, starts, terminals, whole_logs
from tests.support.sse import DispatchedEvent, Parser, parse, text_of

ENCODER = NativeEncoder(START.stream_id)
NAMES = {Start: "start", Reasoning: "reasoning", ToolCall: "tool_call", Done: "done", Failed: "error"}


def normal(text: str) -> str:
    """Return ``text`` with CRLF and CR as LF, half surrogate pairs as U+FFFD."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join("\ufffd" if "\ud800" <= sign <= "\udfff" else sign for sign in text)


class TestNative(EncoderContract):
    def new_encoder(self) -> Encoder:
        return NATIVE_WIRE.encoder(START)

    def resuming(self, records: Sequence[Record], position: int) -> bytes:
        encoder = NATIVE_WIRE.encoder(START, position - 1)
        return encode_all(encoder, records[encoder.offset :], encoder.offset)

    def text_of(self, events: list[DispatchedEvent]) -> str:
        return text_of(events)

    def normal(self, text: str) -> str:
        return normal(text)


class TestNativeFold(TestNative):
    """Streams of another wire, with records in their logs that are no native events."""

    def new_encoder(self) -> Encoder:
        return NATIVE_WIRE.encoder(FOREIGN)

    def resuming(self, records: Sequence[Record], position: int) -> bytes:
        return encode_all(NATIVE_WIRE.encoder(FOREIGN, position - 1), records)

    def test_a_record_larger_than_a_batch_goes_alone(self) -> None:
        super().test_a_record_larger_than_a_batch_goes_alone()

    def test_events_are_numbered_without_gaps_when_records_are_no_events(self) -> None:
        records: list[Record] = [
            FOREIGN,
            Frame("chat", "", b"{}"),
            Frame("chat", "", b"{}", (Reasoning("a"), BlockEnd("reasoning"), Text("b"))),
            BlockEnd("text"),
            Text("c"),
            DONE,
        ]
        events = parse(encode_all(self.new_encoder(), records))
        assert [event.id for event in events] == [f"{FOREIGN.stream_id}:{number}" for number in range(5)]
        assert [event.type for event in events] == ["start", "reasoning", "message", "message", "done"]
        for number in range(4):
            assert parse(encode_all(NATIVE_WIRE.encoder(FOREIGN, number), records)) == events[number + 1 :]


FOREIGN = msgspec.structs.replace(START, wire="chat")
HIDDEN: dict[type, tuple[str, ...]] = {
    Start: ("created", "wire", "user", "options"),
    Done: ("usage_details", "provider_reason", "stop_sequence"),
    Failed: ("abandoned", "param", "usage_details"),
    ToolCall: ("extra", "custom"),
}
"""Fields that other wires need."""


def fields(record: Record) -> Any:
    """Return what the data of a record's event says, by its fields."""
    match record:
        case Reasoning():
            return {"text": normal_json(record.text)}
        case _:
            internal = HIDDEN.get(type(record), ())
            table = {name: getattr(record, name) for name in record.__struct_fields__ if name not in internal}
            usage = table.get("usage")
            if usage is not None:
                table["usage"] = {name: getattr(usage, name) for name in usage.__struct_fields__}
            return {name: normal_json(value) for name, value in table.items()}


def normal_json(value: object) -> object:
    """Return ``text`` as JSON carries it: with its line ends as they were."""
    if not isinstance(value, str):
        return value
    return "".join("\ufffd" if "\ud800" <= sign <= "\udfff" else sign for sign in value)


@given(records=whole_logs)
def test_every_record_is_one_event_with_its_name_its_id_and_its_fields(records: list[Record]) -> None:
    events = parse(encode_all(ENCODER, records))
    assert [event.id for event in events] == [f"{START.stream_id}:{number}" for number in range(len(records))]
    for record, event in zip(records, events, strict=True):
        if isinstance(record, Text):
            assert event.type == "message"
        else:
            assert event.type == NAMES[type(record)]
            assert event.json() == fields(record)


@given(pieces=st.lists(any_text, max_size=12))
@example(["a\r", "\nb"])
@example(["a\r", "", "\nb"])
@example(["\r", "\n", "\r", "\r", "\n\n"])
def test_text_is_put_together_as_if_it_had_never_been_cut(pieces: list[str]) -> None:
    records = as_generated([Text(piece) for piece in pieces])
    assert text_of(parse(encode_all(ENCODER, records, 1))) == normal("".join(pieces))


@given(start=starts, piece=deltas, terminal=terminals)
def test_no_word_of_anyone_forges_a_field(start: Start, piece: Delta, terminal: Done | Failed) -> None:
    parser = Parser()
    events = parser.feed(encode_all(ENCODER, [start, piece, terminal]))
    assert len(events) == 3
    assert parser.retry == 1000
    assert parser.comments == []
    assert parser.last_event_id == f"{START.stream_id}:2"


def test_the_bytes_of_a_stream() -> None:
    records: list[Record] = [
        Start("abc", "r-1", "openai", "gpt"),
        Reasoning("hm"),
        Text(" two\nlines"),
        ToolCall(0, "call_1", "look", "{"),
        ToolCall(0, None, None, "}"),
        Done("stop", "openai", "gpt-4", None, None, 12.0),
    ]
    data, count = NativeEncoder("abc").encode(0, records)
    assert count == len(records)
    assert data.decode() == (
        "retry: 1000\nevent: start\nid: abc:0\n"
        'data: {"stream_id":"abc","request_id":"r-1","provider":"openai","model":"gpt","keepalive_seconds":15}\n\n'
        'event: reasoning\nid: abc:1\ndata: {"text":"hm"}\n\n'
        "id: abc:2\ndata:  two\ndata: lines\n\n"
        'event: tool_call\nid: abc:3\ndata: {"index":0,"id":"call_1","name":"look","arguments":"{"}\n\n'
        'event: tool_call\nid: abc:4\ndata: {"index":0,"id":null,"name":null,"arguments":"}"}\n\n'
        'event: done\nid: abc:5\ndata: {"finish_reason":"stop","provider":"openai","model":"gpt-4","usage":null,'
        '"ttft_ms":null,"duration_ms":12.0}\n\n'
    )


def test_the_fields_of_the_endings_are_those_of_the_contract() -> None:
    done, error = parse(encode_all(ENCODER, [DONE, FAILED], 1))
    assert list(done.json()) == ["finish_reason", "provider", "model", "usage", "ttft_ms", "duration_ms"]
    assert list(done.json()["usage"]) == ["prompt_tokens", "completion_tokens", "total_tokens", "estimated"]
    assert list(error.json()) == ["code", "message", "retryable", "retry_after", "request_id", "usage"]


def test_an_ending_that_the_producer_did_not_write_has_the_id_end() -> None:
    (event,) = parse(NativeEncoder("abc").encode_failure(FAILED))
    assert (event.type, event.id) == ("error", "abc:end")


def test_a_ping_is_a_named_event_with_an_empty_object_and_no_id() -> None:
    parser = Parser(last_event_id="abc:7")
    (event,) = parser.feed(ENCODER.keepalive)
    assert (event.type, event.data, event.id) == ("ping", "{}", "abc:7")
    assert b"id:" not in ENCODER.keepalive


def test_no_line_separator_of_unicode_is_a_line_end() -> None:
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\0h"
    (event,) = parse(encode_all(ENCODER, [Text(text)], 1))
    assert event.data == text


def test_text_that_is_only_a_line_end_is_an_event() -> None:
    records: list[Record] = [Text("\n"), Text("\r"), ContinuedText("\n"), Text("")]
    events = parse(encode_all(ENCODER, records, 1))
    assert [event.data for event in events] == ["\n", "\n", "", ""]


def test_half_a_pair_in_json_leaves_the_rest_as_it_is() -> None:
    (event,) = parse(encode_all(ENCODER, [ToolCall(1, "\ud800", "n", '{"a": "\u2028\ud83d"}')], 1))
    assert json.loads(event.data) == {"index": 1, "id": "\ufffd", "name": "n", "arguments": '{"a": "\u2028\ufffd"}'}
