"""Frames, blocks and what a wire needs of an answer besides its text, for each of the three APIs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.answer import AnswerParser
from providers.anthropic.events import MessagesParser
from providers.base import (
    AnsweringModel,
    ApiProtocol,
    BlockEnd,
    Event,
    Finish,
    Frame,
    Opaque,
    Reasoning,
    RefusalText,
    Source,
    Text,
    ToolCall,
    Usage,
    UsageDetails,
)
from providers.conversation import read_message
from providers.errors import ProviderError
from providers.openai.chat_stream import ChatParser
from providers.parser import FrameParser
from providers.sse import MAX_EVENT_BYTES
from providers.transport import Transport
from tests.conftest import StartUpstream
from tests.providers.asking import ask, build, request
from tests.support.upstream import Exchange, Script

TABLES: dict[str, dict[str, str]] = {
    "chat": {"kind": "openai"},
    "responses": {"kind": "openai", "api": "responses"},
    "messages": {"kind": "anthropic"},
}


def answering(*frames: str) -> Script:
    """Return a script that streams ``frames``."""

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        for frame in frames:
            await exchange.send(frame)

    return script


async def answer(
    start_upstream: StartUpstream, transport: Transport, protocol: str, *frames: str, source: str | None = None
) -> list[Event]:
    """Return what the provider of ``protocol`` makes of ``frames``, for a request that came on the wire ``source``."""

    upstream = await start_upstream(answering(*frames))
    provider = build({**TABLES[protocol], "model": "m", "base_url": upstream.url}, transport)
    wire: Any = source
    return await ask(provider, request(source=None if wire is None else Source(protocol=wire, body={})))


def event(**fields: Any) -> str:
    """Return a frame of the Responses or the Messages API."""
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> str:
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return f"data: {json.dumps({'choices': choices, **fields})}\n\n"


def frame(protocol: Any, block: str, *pieces: Any) -> Frame:
    """Return the event that is to come of ``block`` as it was sent."""
    lines = dict(line.split(": ", 1) for line in block.strip().split("\n"))
    return Frame(protocol, lines.get("event", ""), lines["data"].encode(), pieces)


async def test_chat_frames_carry_their_pieces_and_usage_stays_an_event(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    text = chunk({"content": "Hi", "vendor": [1]}, model="x")
    end = chunk(finish="stop")
    counts = chunk(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 2})
    blocks = (": ping\n\n", text, end, counts, "data: [DONE]\n\n")
    assert await answer(start_upstream, transport, "chat", *blocks, source="chat") == [
        frame("chat", text, Text("Hi")),
        frame("chat", end),
        frame("chat", counts),
        Usage(1, 2),
        Finish("stop", "x", "stop"),
    ]
    pieces = [Text("Hi"), Usage(1, 2), Finish("stop", "x", "stop")]
    translated = await answer(start_upstream, transport, "chat", *blocks, source="messages")
    assert translated == [AnsweringModel("x"), *pieces]
    assert await answer(start_upstream, transport, "chat", *blocks) == pieces, "the native wire needs it last"


async def test_messages_frames_are_named_and_pings_are_left_out(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    blocks = [
        event(type="message_start", message={"model": "x"}),
        event(type="ping"),
        event(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}),
        event(type="content_block_delta", index=0, delta={"type": "citations_delta", "citation": {}}),
        event(type="content_block_stop", index=0),
        event(type="message_delta", delta={"stop_reason": "stop_sequence", "stop_sequence": "END"}),
        event(type="message_stop"),
    ]
    pieces: dict[int, Any] = {3: Text("Hi"), 5: BlockEnd("text")}
    expected: list[Event] = [
        frame("messages", block, *([pieces[number]] if number in pieces else []))
        for number, block in enumerate(blocks)
        if number != 1
    ]
    finish = Finish("stop", "x", "stop_sequence", "END")
    assert await answer(start_upstream, transport, "messages", *blocks, source="messages") == [*expected, finish]
    unnamed = [block.split("\n", 1)[1] for block in blocks]
    assert await answer(start_upstream, transport, "messages", *unnamed, source="messages") == [*expected, finish]
    misnamed = [f"event: message\n{block}" for block in unnamed]
    assert await answer(start_upstream, transport, "messages", *misnamed, source="messages") == [*expected, finish]


@pytest.mark.parametrize("data", [b'{"type":"x\\n\\ndata: forged"}', b"{}"])
def test_frame_without_a_type_that_can_name_an_event_is_left_out(data: bytes) -> None:
    parser = FrameParser(MessagesParser("m"), "messages")
    assert not any(isinstance(each, Frame) for each in parser.events("", data))


@pytest.mark.parametrize(("protocol", "parser"), [("chat", ChatParser()), ("messages", MessagesParser("m"))])
def test_frame_that_is_no_json_by_the_letter_is_written_anew(protocol: ApiProtocol, parser: AnswerParser) -> None:
    frames = FrameParser(parser, protocol)
    sloppy = b'{"type":"x","a":"b\tc","d":[NaN],"e":"\\ud83d"}'
    written = '{"type":"x","a":"b\\tc","d":[null],"e":"\ufffd"}'.encode()
    assert [each.data for each in frames.events("", sloppy) if isinstance(each, Frame)] == [written]
    strict = b'{"type":"x", "a":1.0}'
    assert [each.data for each in frames.events("", strict) if isinstance(each, Frame)] == [strict]


async def test_a_frame_on_several_lines_becomes_one_line(start_upstream: StartUpstream, transport: Transport) -> None:
    lines = 'data: {"choices":\ndata: [{"delta":{"content":"a"}}]}\n\n'
    events = await answer(start_upstream, transport, "chat", lines, chunk(finish="stop"), source="chat")
    assert events[0] == Frame("chat", "", b'{"choices": [{"delta":{"content":"a"}}]}', (Text("a"),))


def test_frames_before_the_answer_are_bounded() -> None:
    parser = FrameParser(ChatParser(), "chat")
    data = json.dumps({"choices": [], "filler": "x" * 1_000_000}).encode()
    with pytest.raises(ProviderError):
        for _ in range(2 * MAX_EVENT_BYTES // len(data)):
            list(parser.events("", data))
    parser = FrameParser(ChatParser(), "chat")
    list(parser.events("", b'{"choices":[{"delta":{"content":"x"}}]}'))
    for _ in range(2 * MAX_EVENT_BYTES // len(data)):
        list(parser.events("", data))


@pytest.mark.parametrize(
    ("protocol", "failure"),
    [
        ("chat", 'data: {"error":{"message":"x","code":500}}\n\n'),
        ("responses", 'event: error\ndata: {"type":"error","code":"server_error","message":"x"}\n\n'),
        ("messages", 'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n'),
    ],
)
async def test_the_frame_of_an_error_is_never_passed_on(
    start_upstream: StartUpstream, transport: Transport, protocol: str, failure: str
) -> None:
    upstream = await start_upstream(answering(failure))
    provider = build({**TABLES[protocol], "model": "m", "base_url": upstream.url}, transport)
    wire: Any = protocol
    with pytest.raises(ProviderError):
        await anext(provider.stream(request(source=Source(protocol=wire, body={}))))


async def test_messages_blocks_end_with_their_kind_and_opaque_reasoning(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    events = await answer(
        start_upstream,
        transport,
        "messages",
        event(type="message_start", message={"model": "x"}),
        event(type="content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
        event(type="content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm"}),
        event(type="content_block_delta", index=0, delta={"type": "signature_delta", "signature": "sig"}),
        event(type="content_block_stop", index=0),
        event(type="content_block_start", index=1, content_block={"type": "redacted_thinking", "data": "opaque"}),
        event(type="content_block_stop", index=1),
        event(type="content_block_start", index=2, content_block={"type": "text", "text": ""}),
        event(type="content_block_delta", index=2, delta={"type": "text_delta", "text": "Hi"}),
        event(type="content_block_stop", index=2),
        event(type="content_block_start", index=3, content_block={"type": "tool_use", "id": "a", "name": "f"}),
        event(type="content_block_stop", index=3),
        event(type="message_delta", delta={"stop_reason": "tool_use"}),
        event(type="message_stop"),
    )
    assert events == [
        Reasoning("hm"),
        BlockEnd("reasoning", opaque=Opaque("messages", "m", {"signature": "sig"})),
        BlockEnd("reasoning", opaque=Opaque("messages", "m", {"data": "opaque"})),
        Text("Hi"),
        BlockEnd("text"),
        ToolCall(0, "a", "f", ""),
        ToolCall(0, None, None, "{}"),
        BlockEnd("tool_call", 0),
        Finish("tool_calls", "x", "tool_use"),
    ]


async def test_responses_blocks_end_with_their_kind_and_opaque_reasoning(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    def added(index: int, **item: Any) -> str:
        return event(type="response.output_item.added", output_index=index, item=item)

    def done(index: int, **item: Any) -> str:
        return event(type="response.output_item.done", output_index=index, item=item)

    usage = {
        "input_tokens": 5,
        "output_tokens": 9,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
        "output_tokens_details": {"reasoning_tokens": 3},
    }
    events = await answer(
        start_upstream,
        transport,
        "responses",
        added(0, type="reasoning", id="rs_1"),
        event(type="response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="hm"),
        done(0, type="reasoning", id="rs_1", encrypted_content="opaque"),
        added(1, type="message", id="msg_1"),
        event(type="response.output_text.delta", output_index=1, content_index=0, delta="Hi"),
        event(type="response.content_part.done", output_index=1, content_index=0, part={"type": "output_text"}),
        event(type="response.refusal.delta", output_index=1, content_index=1, delta="No."),
        event(type="response.content_part.done", output_index=1, content_index=1, part={"type": "refusal"}),
        done(1, type="message", id="msg_1"),
        added(2, type="custom_tool_call", id="ctc_1", call_id="call_1", name="f", input=""),
        event(type="response.custom_tool_call_input.delta", output_index=2, delta="free text"),
        done(2, type="custom_tool_call", id="ctc_1", call_id="call_1", name="f", input="free text"),
        event(type="response.completed", response={"model": "x", "usage": usage}),
    )
    assert events == [
        Reasoning("hm"),
        BlockEnd("reasoning", opaque=Opaque("responses", "m", {"id": "rs_1", "encrypted_content": "opaque"})),
        Text("Hi"),
        BlockEnd("text"),
        RefusalText("No."),
        BlockEnd("refusal"),
        ToolCall(0, "call_1", "f", "", custom=True),
        ToolCall(0, None, None, "free text", custom=True),
        BlockEnd("tool_call", 0),
        Usage(5, 9, UsageDetails(cached_tokens=2, cache_write_tokens=1, reasoning_tokens=3)),
        Finish("tool_calls", "x", "completed"),
    ]


async def test_chat_refusals_custom_calls_signatures_and_details_are_read(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    signature = {"google": {"thought_signature": "sig"}}
    called = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    custom = {"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": "free text"}}
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 4},
    }
    events = await answer(
        start_upstream,
        transport,
        "chat",
        chunk({"refusal": "No."}),
        chunk({"tool_calls": [{**called, "extra_content": signature}, custom]}),
        chunk(finish="tool_calls", usage=usage),
    )
    details = UsageDetails(cached_tokens=2, reasoning_tokens=3, audio_prompt_tokens=1, audio_completion_tokens=4)
    assert events == [
        RefusalText("No."),
        ToolCall(0, "a", "f", "{}", extra={"extra_content": signature}),
        ToolCall(1, "b", "g", "free text", custom=True),
        Usage(5, 9, details),
        Finish("tool_calls", None, "tool_calls"),
    ]


async def test_what_a_provider_wants_back_with_a_call_reaches_it_in_the_next_turn(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    signature = {"extra_content": {"google": {"thought_signature": "sealed"}}}
    details = [{"type": "reasoning.encrypted", "data": "sealed", "id": "a", "index": 0}]
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, **signature}
    upstream = await start_upstream(
        answering(chunk({"tool_calls": [call], "reasoning_details": details}), chunk(finish="tool_calls"))
    )
    provider = build({"kind": "openai", "model": "m", "base_url": upstream.url}, transport)
    extra: dict[str, Any] = {}
    for event in await ask(provider):
        if isinstance(event, ToolCall):
            extra |= event.extra or {}
    told = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = read_message({"role": "assistant", "tool_calls": [{**told, "extra": extra}]}, "messages[0]")
    await ask(provider, request(turn))
    sent = upstream.exchanges[-1].json()["messages"][0]
    assert sent == {"role": "assistant", "tool_calls": [{**told, **signature}], "reasoning_details": details}
