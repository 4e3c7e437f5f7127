"""This server as the upstream of this server: between the two each protocol, before and behind them each protocol."""

from __future__ import annotations

import aiohttp
import pytest

from tests.clients.bench import CHAINED, KEY, ClientHarness, conversing, refusing
from tests.clients.client import OtherClient
from tests.clients.clients import CLIENTS
from tests.clients.test_contract import check_answer, results_of
from tests.clients.upstreams import CALL_IDS, SIGNATURE, ZONES, answering
from tests.support.sse import DispatchedEvent, parse
from tests.support.upstream import Script

pytestmark = pytest.mark.asyncio(loop_scope="module")
ANSWER = answering(None, "reasoning", "text")
SDKS = [client for client in CLIENTS if client.package in ("openai", "anthropic") and client.language == "python"]
each_sdk = pytest.mark.parametrize("client", SDKS, ids=str)
each_model = pytest.mark.parametrize("model", CHAINED)


async def natively(bench: ClientHarness, script: Script, model: str) -> list[DispatchedEvent]:
    """Return the events of the native API."""
    bench.upstream.script = script
    server = await bench.start_chain()
    headers, body = {"X-API-Key": KEY}, {"prompt": "What time is it?", "provider": model}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{server.url}/api/chat/stream", json=body) as response,
    ):
        return parse(await response.read())


@each_sdk
async def test_text_reasoning_and_usage_pass_both_servers(bench: ClientHarness, client: OtherClient) -> None:
    chain = await bench.start_chain()
    for model in CHAINED:
        for streamed in (True, False):
            seen = await bench.ask(client, ANSWER, at=chain, model=model, streamed=streamed)
            check_answer(client, seen)
            assert seen.pieces == (["Fo", "ur"] if streamed else ["Four"]), model


@each_sdk
async def test_tools_are_called_and_answered_through_both_servers(bench: ClientHarness, client: OtherClient) -> None:
    chain = await bench.start_chain()
    for model in CHAINED:
        bench.upstream.exchanges.clear()
        seen = await bench.ask(client, conversing, at=chain, model=model, tools=True)
        assert seen.error is None and seen.text.endswith("Four"), model
        second = bench.upstream.exchanges[1].json()
        expected = {call_id: f"noon in {zone}" for call_id, zone in zip(CALL_IDS, ZONES, strict=True)}
        assert results_of(model.rpartition("-")[2], second) == expected, model


@pytest.mark.parametrize(
    ("program", "model"),
    [("openai-responses", "responses-responses"), ("anthropic", "messages-messages")],
)
async def test_signed_reasoning_goes_back_to_the_model_that_wrote_it(
    bench: ClientHarness, program: str, model: str
) -> None:
    (client,) = (client for client in SDKS if client.program == program)
    bench.upstream.exchanges.clear()
    seen = await bench.ask(client, conversing, at=await bench.start_chain(), model=model, tools=True)
    assert seen.error is None and SIGNATURE.encode() in bench.upstream.exchanges[1].body


@each_sdk
async def test_client_that_leaves_closes_every_connection(bench: ClientHarness, client: OtherClient) -> None:
    chain = await bench.start_chain()
    for model in CHAINED:
        seen = await bench.ask(client, answering(None, "text", end=False), at=chain, model=model, leave=True)
        assert seen.error is None and seen.pieces == ["Fo"], model
        await bench.upstream.all_closed()


@each_model
async def test_native_stream_has_text_reasoning_and_one_ending(bench: ClientHarness, model: str) -> None:
    events = await natively(bench, ANSWER, model)
    assert [event.type for event in events] == ["start", "reasoning", "message", "message", "done"]
    assert "".join(event.data for event in events if event.type == "message") == "Four"
    usage = events[-1].json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["estimated"]) == (9, 7, False)


BEFORE: list[tuple[Script, str]] = [
    (refusing(401), "upstream_error"),  # the other server's key was refused, not this one's
    (refusing(400), "invalid_request"),
    (refusing(404, code="model_not_found"), "model_not_found"),
    (refusing(400, code="context_length_exceeded"), "context_length"),
    (refusing(429), "rate_limited"),
    (refusing(429, code="insufficient_quota"), "quota_exceeded"),
    (refusing(503), "overloaded"),
    (refusing(500), "upstream_error"),
]


@each_model
async def test_failure_before_the_first_piece_keeps_its_meaning(bench: ClientHarness, model: str) -> None:
    endings = [(await natively(bench, script, model))[-1] for script, _ in BEFORE]
    assert [(ending.type, ending.json()["code"]) for ending in endings] == [("error", code) for _, code in BEFORE]


@each_model
async def test_failure_after_the_first_piece_is_one_error_after_the_text(bench: ClientHarness, model: str) -> None:
    events = await natively(bench, answering(None, "text", cut=True), model)
    assert [event.type for event in events] == ["start", "message", "message", "error"]
    assert events[-1].json()["code"] in ("upstream_disconnected", "upstream_error")
