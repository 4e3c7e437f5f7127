"""Text of models and clients forges no event, header, log line or metric."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.base import Reasoning, Text, ToolCall
from streamserver.core.error_codes import failed
from streamserver.core.generation import Outcome
from streamserver.log.records import Done, Record, Start
from streamserver.telemetry.metrics import Metrics
from streamserver.telemetry.record import log_outcome
from streamserver.wire.native import NativeEncoder
from tests.conftest import StartServer
from tests.support.client import RawStream, stream_url
from tests.support.logs import log_to_memory, restored_logs
from tests.support.properties import examples
from tests.support.sse import DispatchedEvent, parse
from tests.telemetry.test_logs import outcome

FORGERIES = (
    *("\n", "\r", "\r\n", "\n\n", "\0", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1b[2J", "\ufeff", "\ud800"),
    *("event: done\n", "data: ", "id: forged:1\n", ": ", "retry: 1\n", "event: error\ndata: {}\n\n", "{", '"'),
    *("HTTP/1.1 200 OK\r\n", "X-Forged: 1\r\n", 'x"} 1\nforged 1\n', "status=done", "a"),
)
nasty = st.one_of(st.text(), st.lists(st.sampled_from(FORGERIES)).map("".join))

records: st.SearchStrategy[Record] = st.one_of(
    nasty.map(Text),
    nasty.map(Reasoning),
    st.builds(ToolCall, st.integers(0, 9), st.none() | nasty, st.none() | nasty, nasty),
)


def wire(stream: Sequence[Record]) -> list[DispatchedEvent]:
    encoder, sent, offset = NativeEncoder("stream"), b"", 0
    while offset < len(stream):
        data, count = encoder.encode(offset, stream[offset:])
        sent, offset = sent + data, offset + count
    return parse(sent)


@given(pieces=st.lists(records, max_size=20), model=nasty, reason=nasty)
def test_no_text_of_a_model_forges_an_event(pieces: list[Record], model: str, reason: str) -> None:
    stream = [Start("stream", "r", "p", model), *pieces, Done(reason, "p", model, None, None, 1.0)]
    events = wire(stream)
    assert [event.offset for event in events] == [str(number) for number in range(len(stream))], "one event a record"
    kinds = {Text: "message", Reasoning: "reasoning", ToolCall: "tool_call", Start: "start", Done: "done"}
    assert [event.type for event in events] == [kinds[type(record)] for record in stream]
    assert all(event.id.startswith("stream:") for event in events)


@given(text=nasty, other=nasty, crash=nasty)
def test_no_logged_value_forges_a_line_or_a_field(text: str, other: str, crash: str) -> None:
    for form in ("text", "json"):
        ended = outcome(
            failed("internal", request_id="r"), model=text, key_name=other, request_id=text, crash=ValueError(crash)
        )
        with restored_logs():
            out = log_to_memory(format=form, level="DEBUG")
            log_outcome(ended)
        lines = out.getvalue().split("\n")
        assert len(re.split(r"[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029\x1b\0]", out.getvalue())) == 1
        if form == "json":
            found = [json.loads(line) for line in lines if line]
            assert [record["event"] for record in found] == ["crash", "stream"]
            assert found[1]["status"] == "internal"
        else:
            assert sum(line.startswith("20") for line in lines) == 2, "a line each, dated"


@given(provider=nasty, model=nasty, reason=nasty)
def test_no_name_forges_a_metric(provider: str, model: str, reason: str) -> None:
    metrics = Metrics()
    done = Done(reason, provider, model, None, 1.0, 2.0)
    ended: Outcome = outcome(done, provider=provider, model=model, asked_model=model)
    metrics.stream_ended(ended)
    lines = metrics.render().decode().splitlines()
    assert 'provider="other"' in "".join(line for line in lines if line.startswith("streamserver_streams_total"))
    assert all(re.fullmatch(r"# (HELP|TYPE) .*|[a-z_]+(\{[^{}]*\})? \S+", line) for line in lines)


@pytest.mark.hypothesis
async def test_no_request_forges_a_header_or_an_id(start_server: StartServer, http: aiohttp.ClientSession) -> None:
    server = await start_server({"log": {"level": "DEBUG"}})

    @settings(examples(60), suppress_health_check=list(HealthCheck))
    @given(prompt=nasty.filter(bool), request_id=st.text(st.characters(max_codepoint=255), max_size=200))
    def ask(prompt: str, request_id: str) -> None:
        future = asyncio.run_coroutine_threadsafe(check(prompt, request_id), loop)
        future.result(30)

    async def check(prompt: str, request_id: str) -> None:
        safe = re.sub(r"[\r\n\0]", "", request_id)
        target = stream_url("", prompt.encode("utf-8", "replace").decode())
        stream = await (await RawStream.request(server.port, target, headers={"X-Request-ID": safe})).head()
        try:
            names = set(stream.headers)
            assert "x-forged" not in names
            if stream.status == 200:
                assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", stream.headers["x-request-id"])
                events = await stream.events()
                assert [event.type for event in events].count("start") == 1
                assert events[-1].type == "done"
        finally:
            stream.close()

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(ask)
    for line in server.log.splitlines():
        json.loads(line)


@pytest.mark.parametrize("origin", ["https://evil.example\r\nX-Forged: 1", "null", "https://app.example.evil.example"])
async def test_origin_is_refused_when_it_is_not_listed(start_server: StartServer, origin: str) -> None:
    server = await start_server({"auth": {"cors_origins": ["https://app.example"]}})
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    stream = await (await RawStream.request(server.port, "/api/chat/stream?prompt=x", headers=headers)).head()
    assert stream.status in (400, 403)
    assert "x-forged" not in stream.headers and "access-control-allow-origin" not in stream.headers
    stream.close()
