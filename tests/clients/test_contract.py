"""Every client, over a provider of each protocol: what its caller sees, and what the provider is sent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.bench import KEY, PROTOCOLS, ClientHarness, conversing, hanging, refusing
from tests.clients.client import OtherClient, Seen
from tests.clients.clients import CLIENTS
from tests.clients.feature import feature
from tests.clients.upstreams import CALL_IDS, ZONES, answering
from tests.support.upstream import Exchange

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.parametrize("client", CLIENTS, ids=str)]
ANSWER = answering(None, "reasoning", "text")


def has(client: OtherClient, name: str) -> bool:
    return name not in client.lacks


def check_answer(client: OtherClient, seen: Seen) -> None:
    assert seen.error is None
    assert seen.text == "Four" and seen.usage == (9, 7)
    assert seen.reasoning == ("Sum it." if has(client, "reasoning") else "")


@feature("whole", "reasoning")
async def test_whole_answer_has_its_text_reasoning_and_usage(bench: ClientHarness, client: OtherClient) -> None:
    for model in PROTOCOLS:
        seen = await bench.ask(client, ANSWER, model=model, streamed=False)
        check_answer(client, seen)
        assert seen.pieces == ["Four"]


@feature("streamed", "reasoning")
async def test_streamed_answer_comes_in_pieces_and_has_its_usage(bench: ClientHarness, client: OtherClient) -> None:
    for model in PROTOCOLS:
        seen = await bench.ask(client, ANSWER, model=model)
        check_answer(client, seen)
        assert seen.pieces == ["Fo", "ur"]


@feature("tools")
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_two_parallel_calls_are_run_and_their_results_answered(
    bench: ClientHarness, client: OtherClient, streamed: bool
) -> None:
    for model in PROTOCOLS:
        bench.upstream.exchanges.clear()
        seen = await bench.ask(client, conversing, model=model, tools=True, streamed=streamed)
        assert seen.error is None
        assert sorted(call["tz"] for call in seen.calls) == sorted(ZONES)
        assert seen.text.endswith("Four") and seen.usage == (9, 7)
        first, second = bench.upstream.exchanges
        assert b"get_time" in first.body and results_of(model, second.json()) == {
            call_id: f"noon in {zone}" for call_id, zone in zip(CALL_IDS, ZONES, strict=True)
        }


def results_of(protocol: str, body: Any) -> dict[str, str]:
    """Return the text of each tool's result in a request, by the id of its call."""
    if protocol == "chat":
        found = [(turn["tool_call_id"], turn["content"]) for turn in body["messages"] if turn["role"] == "tool"]
    elif protocol == "responses":
        items = (item for item in body["input"] if item.get("type") == "function_call_output")
        found = [(item["call_id"], item["output"]) for item in items]
    else:
        blocks = [block for block in body["messages"][-1]["content"] if block["type"] == "tool_result"]
        found = [(block["tool_use_id"], block["content"]) for block in blocks]
    return {call_id: content if isinstance(content, str) else content[0]["text"] for call_id, content in found}


@feature("errors")
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_refusal_of_the_server_is_an_error_with_its_status(
    bench: ClientHarness, client: OtherClient, streamed: bool
) -> None:
    bench.upstream.exchanges.clear()
    for key, model, status in (("wrong", "chat", 401), (KEY, "gone", 404)):
        seen = await bench.ask(client, ANSWER, key=key, model=model, streamed=streamed)
        assert seen.error is not None and seen.error.status == status, seen.error
    assert bench.upstream.exchanges == []


@feature("errors")
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_failure_before_the_first_piece_is_an_error_with_its_status(
    bench: ClientHarness, client: OtherClient, streamed: bool
) -> None:
    for model in PROTOCOLS:
        for answered, status in ((401, 502), (400, 400)):
            bench.upstream.exchanges.clear()
            seen = await bench.ask(client, refusing(answered), model=model, streamed=streamed)
            assert seen.error is not None and seen.error.status == status, seen.error
            assert (seen.pieces, len(bench.upstream.exchanges)) == ([], 1)


@feature("errors")
async def test_failure_after_the_first_piece_is_an_error_and_is_not_retried(
    bench: ClientHarness, client: OtherClient
) -> None:
    for model in PROTOCOLS:
        bench.upstream.exchanges.clear()
        seen = await bench.ask(client, answering(None, "text", cut=True), model=model, retries=1)
        assert seen.error is not None
        assert (seen.text, len(bench.upstream.exchanges)) == ("Four", 1)


@feature("errors")
async def test_whole_answer_that_breaks_off_is_an_error_and_not_half_an_answer(
    bench: ClientHarness, client: OtherClient
) -> None:
    for model in PROTOCOLS:
        seen = await bench.ask(client, answering(None, "text", cut=True), model=model, streamed=False)
        assert seen.error is not None and seen.error.status == 502
        assert seen.pieces == []


@feature("retries")
async def test_request_that_may_succeed_later_is_sent_again(bench: ClientHarness, client: OtherClient) -> None:
    status = 429 if client.name == "AI SDK" else 500  # each client waits least after that one

    async def busy(exchange: Exchange) -> None:
        if len(bench.upstream.exchanges) == 1:
            await refusing(status)(exchange)
        else:
            await ANSWER(exchange)

    bench.upstream.exchanges.clear()
    check_answer(client, await bench.ask(client, busy, model="chat", retries=1))
    assert len(bench.upstream.exchanges) == 2


@feature("cancel")
async def test_client_that_leaves_closes_the_providers_connection(bench: ClientHarness, client: OtherClient) -> None:
    if not has(client, "leaving"):
        pytest.skip(f"{client.name} is cancelled by ending its process: test_llm.py")
    for model in PROTOCOLS:
        seen = await bench.ask(client, answering(None, "text", end=False), model=model, leave=True)
        assert seen.error is None and seen.pieces[0] == "Fo"
        await bench.upstream.all_closed()


@feature("timeouts")
async def test_providers_silence_before_the_first_piece_is_a_status(bench: ClientHarness, client: OtherClient) -> None:
    server = await bench.start("first_token")
    for streamed in (True, False):
        seen = await bench.ask(client, hanging, at=server, model="chat", streamed=streamed)
        assert seen.error is not None and seen.error.status == 504, seen.error
    await bench.upstream.all_closed()


@feature("timeouts")
async def test_providers_silence_after_the_first_piece_is_an_error(bench: ClientHarness, client: OtherClient) -> None:
    server = await bench.start("idle")
    seen = await bench.ask(client, answering(None, "text", end=False), at=server, model="chat")
    assert seen.error is not None and seen.text == "Four"
    await bench.upstream.all_closed()


@feature("timeouts")
async def test_clients_own_timeout_closes_the_providers_connection(bench: ClientHarness, client: OtherClient) -> None:
    if not has(client, "own timeout"):
        pytest.skip(f"{client.name} has no timeout of its own")
    seen = await bench.ask(client, hanging, model="chat", timeout=0.5)
    assert seen.error is not None and seen.error.status is None, seen.error
    await bench.upstream.all_closed()
