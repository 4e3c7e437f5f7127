"""What comes from a server that speaks OpenAI's API, in the many ways they have of saying it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.base import Finish, Text, ToolCall, Usage, UsageDetails
from providers.errors import (
    ContentFilter,
    InvalidRequest,
    ProviderError,
    RateLimited,
    UpstreamDisconnected,
    UpstreamError,
)
from providers.openai.chat_stream import ChatParser
from providers.transport import Transport
from tests.conftest import StartUpstream
from tests.providers.asking import ask, build, reasoning_in, text_in
from tests.support.upstream import DONE, Exchange, Script, chunk


def says(*events: dict[str, Any] | str) -> Script:
    """Return a script that streams these events and closes."""

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        for event in events:
            await exchange.send(event if isinstance(event, str) else f"data: {json.dumps(event)}\n\n")

    return script


def delta(**fields: Any) -> str:
    return chunk(choices=[{"index": 0, "delta": fields, "finish_reason": None}])


FINISH = chunk(finish="stop") + DONE
RESPONSES = {"kind": "openai", "model": "m", "api": "responses"}


def response(**fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "model": "gpt-5-2025-08-07", **fields}


def completed(**fields: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 5,
        "output_tokens": 9,
        "total_tokens": 14,
        "output_tokens_details": {"reasoning_tokens": 3},
    }
    return {"type": "response.completed", "response": response(status="completed", usage=usage, **fields)}


COUNTED = Usage(5, 9, UsageDetails(reasoning_tokens=3))
CREATED = {"type": "response.created", "response": response(status="in_progress", usage=None, error=None)}


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_chat_reads_reasoning_under_either_name(
    start_upstream: StartUpstream, transport: Transport, name: str
) -> None:
    upstream = await start_upstream(says(delta(**{name: "hm"}), delta(**{name: "m"}, content=""), chunk("yes"), FINISH))
    events = await ask(build({"kind": "openai", "model": "m", "base_url": upstream.url}, transport))
    assert (reasoning_in(events), text_in(events)) == ("hmm", "yes")


async def test_chat_reads_content_in_parts(start_upstream: StartUpstream, transport: Transport) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, {"type": "reference"}]}
    upstream = await start_upstream(
        says(delta(content=[thinking]), delta(content=[{"type": "text", "text": "yes"}, {"type": "new"}]), FINISH)
    )
    events = await ask(build({"kind": "openai", "model": "m", "base_url": upstream.url}, transport))
    assert (reasoning_in(events), text_in(events)) == ("hm", "yes")


async def test_responses_reads_text_reasoning_usage_and_the_end(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    summary = "response.reasoning_summary_text.delta"
    upstream = await start_upstream(
        says(
            CREATED,
            {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs"}},
            {"type": "response.reasoning_summary_part.added", "summary_index": 0, "output_index": 0},
            {"type": summary, "summary_index": 0, "delta": "first"},
            {"type": "response.reasoning_summary_part.added", "summary_index": 1, "output_index": 0},
            {"type": summary, "summary_index": 1, "delta": "second"},
            {"type": "response.reasoning_text.delta", "delta": "!"},
            {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "content": []}},
            {"type": "response.output_text.delta", "output_index": 1, "delta": "Hel", "logprobs": []},
            {"type": "response.output_text.delta", "output_index": 1, "delta": "lo"},
            {"type": "response.output_text.done", "output_index": 1, "text": "Hello"},
            {"type": "response.an_event_of_next_year", "delta": {"not": "text"}},
            completed(),
        )
    )
    events = await ask(build({**RESPONSES, "base_url": upstream.url}, transport))
    assert reasoning_in(events) == "first\n\nsecond!"
    assert text_in(events) == "Hello"
    assert events[-2:] == [COUNTED, Finish("stop", "gpt-5-2025-08-07", "completed")]


async def test_responses_numbers_tool_calls_from_zero(start_upstream: StartUpstream, transport: Transport) -> None:
    def call(index: int, name: str) -> dict[str, Any]:
        item = {"type": "function_call", "call_id": f"call_{name}", "name": name, "arguments": ""}
        return {"type": "response.output_item.added", "output_index": index, "item": item}

    def arguments(index: int, piece: str) -> dict[str, Any]:
        return {"type": "response.function_call_arguments.delta", "output_index": index, "delta": piece}

    upstream = await start_upstream(
        says(
            CREATED,
            call(1, "a"),
            arguments(1, '{"x":'),
            arguments(1, "1}"),
            call(2, "b"),
            arguments(2, "{}"),
            completed(),
        )
    )
    events = await ask(build({**RESPONSES, "base_url": upstream.url}, transport))
    assert events == [
        ToolCall(0, "call_a", "a", ""),
        ToolCall(0, None, None, '{"x":'),
        ToolCall(0, None, None, "1}"),
        ToolCall(1, "call_b", "b", ""),
        ToolCall(1, None, None, "{}"),
        COUNTED,
        Finish("tool_calls", "gpt-5-2025-08-07", "completed"),
    ]


async def test_responses_reads_a_refusal_as_text(start_upstream: StartUpstream, transport: Transport) -> None:
    upstream = await start_upstream(says({"type": "response.refusal.delta", "delta": "I will not."}, completed()))
    assert text_in(await ask(build({**RESPONSES, "base_url": upstream.url}, transport))) == "I will not."


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("steered", "steered")],
)
async def test_responses_ends_with_the_reason_when_the_response_is_incomplete(
    start_upstream: StartUpstream, transport: Transport, reason: str, finish: str
) -> None:
    incomplete = {"type": "response.incomplete", "response": response(incomplete_details={"reason": reason})}
    upstream = await start_upstream(says({"type": "response.output_text.delta", "delta": "cut"}, incomplete))
    events = await ask(build({**RESPONSES, "base_url": upstream.url}, transport))
    assert events == [Text("cut"), Finish(finish, "gpt-5-2025-08-07", reason)]


FAILURES: list[tuple[dict[str, Any], type[ProviderError]]] = [
    ({"type": "response.failed", "response": response(error={"code": "server_error", "message": "x"})}, UpstreamError),
    (
        {"type": "response.failed", "response": response(error={"code": "rate_limit_exceeded", "message": "x"})},
        RateLimited,
    ),
    (
        {"type": "response.failed", "response": response(error={"code": "invalid_prompt", "message": "x"})},
        ContentFilter,
    ),
    (
        {"type": "response.failed", "response": response(error={"code": "invalid_image", "message": "x"})},
        InvalidRequest,
    ),
    ({"type": "response.failed"}, UpstreamError),
    (
        {"type": "error", "code": "rate_limit_exceeded", "message": "x", "param": None, "sequence_number": 3},
        RateLimited,
    ),
    ({"type": "error", "code": None, "message": "x", "param": None}, UpstreamError),
    (
        {"type": "error", "error": {"type": "invalid_request_error", "code": "content_filter", "message": "x"}},
        ContentFilter,
    ),
    ({"error": {"message": "x"}}, UpstreamError),
]


@pytest.mark.parametrize(("event", "kind"), FAILURES)
async def test_responses_raises_the_error_that_the_code_stands_for(
    start_upstream: StartUpstream, transport: Transport, event: dict[str, Any], kind: type[ProviderError]
) -> None:
    upstream = await start_upstream(says(CREATED, event))
    with pytest.raises(ProviderError) as failure:
        await ask(build({**RESPONSES, "base_url": upstream.url}, transport))
    assert type(failure.value) is kind


async def test_responses_is_disconnected_when_the_response_never_ends(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    upstream = await start_upstream(says(CREATED, {"type": "response.output_text.delta", "delta": "Hel"}))
    for end in ("", DONE):
        upstream.script = says(CREATED, {"type": "response.output_text.delta", "delta": "Hel"}, end)
        with pytest.raises(UpstreamDisconnected):
            await ask(build({**RESPONSES, "base_url": upstream.url}, transport))


AZURE_FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
    }
}


async def test_azure_content_filter_and_its_annotations_are_read(
    start_upstream: StartUpstream, transport: Transport
) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(
            400, json.dumps(AZURE_FILTERED), extra="apim-request-id: req-azure\r\nConnection: close\r\n"
        )

    upstream = await start_upstream(refuse)
    table = {"kind": "azure", "model": "dep", "base_url": upstream.url, "api_version": "2024-10-21"}
    with pytest.raises(ContentFilter) as failure:
        await ask(build(table, transport))
    assert failure.value.detail.request_id == "req-azure"
    first = chunk(choices=[], model="", prompt_filter_results=[{"prompt_index": 0}])
    upstream.script = says(first, chunk("hi", model="gpt-4o-2024-11-20"), FINISH)
    assert await ask(build(table, transport)) == [Text("hi"), Finish("stop", "gpt-4o-mini-2024-07-18", "stop")]


def test_chat_tells_calls_apart_by_their_place_when_they_have_no_index() -> None:
    calls = [{"id": name, "function": {"name": f"f{name}"}} for name in "abc"]
    chunk = {"choices": [{"delta": {"tool_calls": [*calls[:2], {"index": 7, **calls[2]}]}}]}
    events = ChatParser({"fa", "fb", "fc"}).events("", json.dumps(chunk).encode())
    assert events == [ToolCall(0, "a", "fa", ""), ToolCall(1, "b", "fb", ""), ToolCall(2, "c", "fc", "")]


@pytest.mark.parametrize(
    "chunk",
    [
        {"object": "error", "message": "no", "type": "BadRequestError", "code": 400},
        {"error": {"message": "no", "code": 400}},
        {"error": {"message": "no", "code": 400}, "choices": [{"delta": {"content": "x"}}]},
    ],
)
def test_chat_raises_an_error_in_each_of_its_forms(chunk: dict[str, Any]) -> None:
    with pytest.raises(ProviderError):
        ChatParser().events("", json.dumps(chunk).encode())
