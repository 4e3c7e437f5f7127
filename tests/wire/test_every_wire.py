"""What every client wire keeps, whatever its log holds."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.core.error_codes import FAILURES
from streamserver.core.refusals import REFUSAL_CODES, Refusal
from streamserver.log.codec import decode
from streamserver.log.codec import encode as encode_records
from streamserver.log.records import Done, Failed, Record, Start
from streamserver.wire.ai_sdk import AI_SDK_REPLAY_WIRE, AI_SDK_WIRE
from streamserver.wire.base import Wire
from streamserver.wire.chat import CHAT_WIRE
from streamserver.wire.error_forms import ANTHROPIC_ERRORS, OPENAI_ERRORS
from streamserver.wire.messages import MESSAGES_WIRE
from streamserver.wire.native_wire import NATIVE_WIRE
from streamserver.wire.responses import BACKGROUND_RESPONSES_WIRE, RESPONSES_WIRE
from tests.support.own_frames import own_logs
from tests.support.properties import examples
from tests.support.records import START, foreign_logs
from tests.support.sse import parse

WIRES: list[Wire] = [
    CHAT_WIRE,
    MESSAGES_WIRE,
    RESPONSES_WIRE,
    BACKGROUND_RESPONSES_WIRE,
    AI_SDK_WIRE,
    AI_SDK_REPLAY_WIRE,
]
STATUS_WIRES: list[Wire] = [CHAT_WIRE, MESSAGES_WIRE, RESPONSES_WIRE]
wires = st.sampled_from(WIRES)
logs = wires.flatmap(lambda wire: st.tuples(st.just(wire), foreign_logs(wire.name) | own_logs(wire.name)))


def encode(
    wire: Wire, records: Sequence[Record], batches: Sequence[int] = (), resume_after: int | None = None
) -> bytes:
    """Return the bytes of ``records``, given to a new encoder in batches of those sizes, the rest at once."""
    start = records[0]
    assert isinstance(start, Start)
    encoder = wire.encoder(start, resume_after)
    data, offset = b"", encoder.offset
    for size in [*batches, len(records)]:
        end = min(len(records), offset + size)
        while offset < end:
            part, count = encoder.encode(offset, records[offset:end])
            assert count >= 1
            data, offset = data + part, offset + count
    return data


@given(case=logs, batches=st.lists(st.integers(1, 4), max_size=8))
def test_bytes_do_not_depend_on_how_records_were_batched(case: tuple[Wire, list[Record]], batches: list[int]) -> None:
    wire, records = case
    assert encode(wire, records, batches) == encode(wire, records)


@given(case=logs)
@examples(50)
def test_bytes_are_the_same_at_another_node(case: tuple[Wire, list[Record]]) -> None:
    wire, records = case
    records = decode(encode_records(records))  # without lone surrogates, which two ids may differ in alone
    assert encode(wire, decode(encode_records(records))) == encode(wire, records)


@given(case=logs)
def test_every_event_is_json_without_an_id_and_the_last_one_ends_the_stream(case: tuple[Wire, list[Record]]) -> None:
    wire, records = case
    data = encode(wire, records)
    fields = {line.partition(b":")[0] for line in data.split(b"\n")}
    assert fields <= {b"", b"event", b"data"}, "openai-python fails on the blank line behind an id or a retry"
    events = parse(data)
    for event in events:
        if event.data != "[DONE]":
            assert isinstance(json.loads(event.data), dict)
    last, failed = events[-1].data, isinstance(records[-1], Failed)
    match wire.name:
        case "chat":
            assert ('"error"' in last) if failed else (last == "[DONE]")
        case "messages":
            assert json.loads(last)["type"] == ("error" if failed else "message_stop")
        case "responses":
            kind = json.loads(last)["type"]
            assert kind == "response.failed" if failed else kind in ("response.completed", "response.incomplete")
        case "ai_sdk":
            assert last == "[DONE]"


GOOD_ENDS = {
    "chat": b'"finish_reason":"',
    "messages": b'"type":"message_stop"',
    "ai_sdk": b'"type":"finish"',
}


@given(case=wires.flatmap(lambda wire: st.tuples(st.just(wire), own_logs(wire.name))))
def test_own_end_of_a_provider_is_followed_by_no_failure(case: tuple[Wire, list[Record]]) -> None:
    wire, records = case
    data = encode(wire, records).replace(b'": "', b'":"')
    if wire.name in GOOD_ENDS:
        assert data.count(GOOD_ENDS[wire.name]) == int(isinstance(records[-1], Done))
    else:
        assert data.count(b"event: response.completed") + data.count(b"event: response.failed") == 1


@given(log=foreign_logs("responses") | own_logs("responses"), data=st.data())
def test_resuming_a_response_gives_the_suffix(log: list[Record], data: st.DataObject) -> None:
    whole = parse(encode(RESPONSES_WIRE, log))
    assert [json.loads(event.data)["sequence_number"] for event in whole] == list(range(len(whole)))
    number = data.draw(st.integers(0, len(whole) - 2))
    assert parse(encode(RESPONSES_WIRE, log, resume_after=number)) == whole[number + 1 :]


@given(case=logs, data=st.data())
def test_stream_of_any_wire_is_numbered_and_resumed_natively(
    case: tuple[Wire, list[Record]], data: st.DataObject
) -> None:
    _, records = case
    whole = parse(encode(NATIVE_WIRE, records))
    stable = whole[:-1] if whole[-1].id.endswith(":end") else whole
    assert [event.id for event in stable] == [f"{START.stream_id}:{number}" for number in range(len(stable))]
    number = data.draw(st.integers(0, len(whole) - 2)) if len(whole) > 1 else 0
    assert parse(encode(NATIVE_WIRE, records, resume_after=number)) == whole[number + 1 :]


@given(case=logs)
def test_whole_answer_can_be_made_of_every_complete_log(case: tuple[Wire, list[Record]]) -> None:
    wire, records = case
    if isinstance(records[-1], Done) and wire in STATUS_WIRES:
        answer = wire.whole(records)
        assert answer.status == 200 and isinstance(json.loads(answer.body), dict)


@pytest.mark.parametrize("wire", STATUS_WIRES, ids=lambda wire: wire.name)
@pytest.mark.parametrize("code", sorted(FAILURES))
def test_every_failure_has_a_status_of_the_wire(wire: Wire, code: str) -> None:
    answer = wire.failure(Failed(code, "Why.", False, 7.2, "r-1", None))
    assert 400 <= answer.status < 600
    assert answer.headers["Retry-After"] == "8"
    error = json.loads(answer.body)["error"]
    assert set(error) == ({"type", "message"} if wire is MESSAGES_WIRE else {"message", "type", "param", "code"})


@pytest.mark.parametrize("wire", [*STATUS_WIRES, AI_SDK_WIRE], ids=lambda wire: wire.name)
@pytest.mark.parametrize(
    "code", sorted(REFUSAL_CODES - {"model_not_found", "previous_response_not_found", "response_not_found"})
)
def test_every_refusal_has_the_form_of_the_wire(wire: Wire, code: str) -> None:
    answer = wire.refusal(Refusal(code, "Why.", field="some.field"), "r-1")
    assert 400 <= answer.status < 600
    if wire is AI_SDK_WIRE:
        assert answer.body == b"some.field: Why.", "the hook shows the whole body"
        assert answer.headers["X-Error-Code"] == code
    else:
        assert "Why." in json.loads(answer.body)["error"]["message"]


def test_every_code_has_a_form_on_both_vendors_wires() -> None:
    assert set(FAILURES) | set(REFUSAL_CODES) <= set(OPENAI_ERRORS)
    responses_only = {"previous_response_not_found", "response_not_found"}
    assert (set(FAILURES) | set(REFUSAL_CODES)) - responses_only <= set(ANTHROPIC_ERRORS)
