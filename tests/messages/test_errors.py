"""Errors of Messages through the front door: status, form and the retries of Anthropic's SDK, at each stage."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import anthropic
import pytest

from tests.conftest import StartServer, StartUpstream
from tests.messages.conftest import ClientOf
from tests.messages.upstreams import SCRIPTS, provider_at
from tests.support.upstream import Exchange, Script, Upstream, chunk

ASKED: dict[str, Any] = {"model": "up", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
ONE_TRY = {"retry": {"attempts": 1}}
SDK_RETRIES = 1


def answers(status: int, *, extra: str = "", **error: Any) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, json.dumps({"error": {"message": "said", **error}}), extra=extra)

    return script


async def resets(exchange: Exchange) -> None:
    exchange.reset()


async def hangs(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.until_closed(60)


async def speaks_and_hangs(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("one"))
    await exchange.until_closed(60)


async def speaks_and_resets(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("one"))
    exchange.reset()


async def speaks_and_fails(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("one") + 'data: {"error":{"message":"said","code":"rate_limit_exceeded"}}\n\n')


FAILURES: list[tuple[Script, int, str, bool]] = [
    (answers(429, code="rate_limit_exceeded"), 429, "rate_limit_error", True),
    (answers(429, code="rate_limit_exceeded", extra="retry-after: 90\r\n"), 429, "rate_limit_error", False),
    (answers(429, code="insufficient_quota"), 402, "billing_error", False),
    (answers(503), 529, "overloaded_error", True),
    (answers(401), 502, "api_error", False),
    (answers(404, code="model_not_found"), 404, "not_found_error", False),
    (answers(400, code="context_length_exceeded"), 400, "invalid_request_error", False),
    (answers(400, code="invalid_value"), 400, "invalid_request_error", False),
    (answers(500), 500, "api_error", True),
    (resets, 502, "api_error", True),
    (hangs, 504, "timeout_error", True),
]
"""What the upstream does before its first piece, and what the client gets: status, type, and if its SDK retries."""


@pytest.fixture
async def upstream(start_upstream: StartUpstream) -> Upstream:
    made: Upstream = await start_upstream(SCRIPTS["chat"])
    return made


@pytest.mark.parametrize("streamed", [True, False])
async def test_failure_before_the_first_piece_is_a_status_that_sdks_retry_when_it_may_help(
    client_of: ClientOf, upstream: Upstream, streamed: bool
) -> None:
    tables = {**provider_at("chat", upstream.url), **ONE_TRY}
    patient = await client_of(tables, max_retries=SDK_RETRIES)
    impatient = await client_of({**tables, "timeouts": {"first_token": 0.2}}, max_retries=SDK_RETRIES)
    for script, status, kind, is_retried in FAILURES:
        client = impatient if script is hangs else patient
        upstream.script = script
        before = len(upstream.exchanges)
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(**ASKED, stream=streamed)
        error = caught.value
        body: Any = error.body
        assert (error.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)
        assert body["request_id"] and error.request_id, f"{status} {kind}"
        assert "said" not in body["error"]["message"], "a provider's words may quote the prompt"
        tries = len(upstream.exchanges) - before
        assert tries == (1 + SDK_RETRIES if is_retried else 1), f"{status} {kind}"


async def test_message_of_a_prompt_that_is_too_long_begins_as_clients_expect(
    client_of: ClientOf, upstream: Upstream
) -> None:
    upstream.script = answers(400, code="context_length_exceeded")
    client = await client_of(provider_at("chat", upstream.url))
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: "):
        await client.messages.create(**ASKED)


@pytest.mark.parametrize(
    ("script", "kind"),
    [(speaks_and_hangs, "timeout_error"), (speaks_and_resets, "api_error"), (speaks_and_fails, "rate_limit_error")],
)
async def test_failure_after_the_first_piece_is_an_event_and_no_retry(
    client_of: ClientOf, upstream: Upstream, script: Script, kind: str
) -> None:
    upstream.script = script
    tables = {**provider_at("chat", upstream.url), **ONE_TRY, "timeouts": {"idle": 1}}
    client = await client_of(tables, max_retries=SDK_RETRIES)
    texts = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        async with client.messages.stream(**ASKED) as stream:
            async for text in stream.text_stream:
                texts.append(text)
    body: Any = caught.value.body
    assert texts == ["one"] and caught.value.status_code == 200
    assert body["error"]["type"] == kind and body["request_id"]
    with pytest.raises(anthropic.APIStatusError) as caught:
        await client.with_options(max_retries=0).messages.create(**ASKED)
    assert caught.value.status_code >= 429, "an answer that is whole is never half of one"
    assert len(upstream.exchanges) == 2


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"system": "Be kind.", "messages": [{"role": "user", "content": "x" * 5001}]}, "messages[0].content"),
    ({"max_tokens": None}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 10**6}, "max_tokens"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"temperature": 1.5}, "temperature"),
    ({"top_p": -1}, "top_p"),
    ({"stop_sequences": "END"}, "stop_sequences"),
    ({"system": 5}, "system"),
    ({"stream": "yes"}, "stream"),
    ({"tools": [{"description": "nameless"}]}, "tools[0].name"),
    ({"tools": [{"name": "f"}], "tool_choice": {"type": "perhaps"}}, "tool_choice.type"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
    ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
    ({"container": "c"}, "container"),
    ({"output_config": {"effort": 5}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    ({"model": None}, "model"),
    ({"model": ""}, "model"),
]


async def test_wrong_field_is_a_400_that_names_it_and_reaches_no_provider(
    client_of: ClientOf, upstream: Upstream
) -> None:
    client = await client_of(provider_at("chat", upstream.url))
    for fields, name in WRONG:
        with pytest.raises(anthropic.BadRequestError) as caught:
            await client.post("/v1/messages", body={**ASKED, **fields}, cast_to=object)
        body: Any = caught.value.body
        assert body["error"]["type"] == "invalid_request_error"
        assert body["error"]["message"].startswith(f"{name}: "), (fields, body)
    with pytest.raises(anthropic.NotFoundError) as missing:
        await client.messages.create(**{**ASKED, "model": "unheard-of"})
    assert missing.value.type == "not_found_error"
    assert upstream.exchanges == []


async def test_refusal_before_a_handler_has_the_form_of_the_wire(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    server = await start_server({"limits": {"max_body_bytes": 2000}}, environ={"STREAMSERVER_KEYS": "anna:k-1,ben:k-2"})
    url, key = f"{server.url}/v1/messages", {"x-api-key": "k-1"}
    cases: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("POST", url, {"json": ASKED}, 401, "authentication_error"),
        ("POST", url, {"json": ASKED, "headers": {"x-api-key": "wrong"}}, 401, "authentication_error"),
        ("POST", url, {"json": ASKED, "headers": {"Authorization": "Bearer wrong"}}, 401, "authentication_error"),
        ("POST", url, {"json": ASKED, "headers": {"x-api-key": "wrong", "Authorization": "Bearer k-1"}}, 401,
         "authentication_error"),
        ("GET", url, {"headers": key}, 405, "invalid_request_error"),
        ("POST", f"{url}/nothing", {"json": {}, "headers": key}, 404, "not_found_error"),
        ("POST", url, {"data": b"x" * 3000, "headers": key}, 413, "request_too_large"),
        ("POST", url, {"data": b"{", "headers": {**key, "Content-Type": "application/json"}}, 400,
         "invalid_request_error"),
        ("POST", url, {"data": b"", "headers": key}, 400, "invalid_request_error"),
        ("POST", url, {"data": b"{}", "headers": {**key, "Content-Type": "text/plain"}}, 415,
         "invalid_request_error"),
    ]  # fmt: skip
    for method, target, options, status, kind in cases:
        async with http.request(method, target, **options) as response:
            body = await response.json()
            assert (response.status, body["type"], body["error"]["type"]) == (status, "error", kind), target
            assert body["error"].keys() == {"type", "message"}
            assert body["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]
    for good in (key, {"Authorization": "Bearer k-2"}, {"x-api-key": "k-1", "Authorization": "Bearer wrong"}):
        async with http.post(url, json={**ASKED, "model": "echo"}, headers=good) as response:
            assert response.status == 200 and response.headers["request-id"]
    async with http.head(f"{server.url}/api/hello") as probe, http.head(server.url) as root:
        assert (probe.status, root.status) == (200, 200), "Claude Code asks both without a key"


async def test_limits_of_a_user_are_429_with_the_time_to_wait(client_of: ClientOf) -> None:
    client = await client_of({"limits": {"requests_per_minute": 1, "max_streams_per_user": 9}})
    await client.messages.create(**{**ASKED, "model": "echo"})
    with pytest.raises(anthropic.RateLimitError) as caught:
        await client.messages.create(**{**ASKED, "model": "echo"})
    assert caught.value.type == "rate_limit_error"
    assert int(caught.value.response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("streamed", [True, False])
async def test_answer_that_a_drain_ends_before_its_first_piece_is_overloaded(
    start_server: StartServer, http: aiohttp.ClientSession, upstream: Upstream, streamed: bool
) -> None:
    upstream.script = hangs
    server = await start_server(provider_at("chat", upstream.url))

    async def post() -> tuple[int, Any, Any]:
        async with http.post(f"{server.url}/v1/messages", json={**ASKED, "stream": streamed}) as response:
            return response.status, response.headers, await response.json()

    waiting = asyncio.get_running_loop().create_task(post())
    await upstream.exchange()
    server.terminate()
    status, headers, body = await waiting
    assert (status, body["error"]["type"]) == (529, "overloaded_error")
    assert headers["retry-after"] == "1"


async def test_answer_that_a_drain_cuts_ends_with_an_error(
    start_server: StartServer, http: aiohttp.ClientSession, upstream: Upstream
) -> None:
    upstream.script = speaks_and_hangs
    server = await start_server(provider_at("chat", upstream.url))
    async with http.post(f"{server.url}/v1/messages", json={**ASKED, "stream": True}) as running:
        await running.content.readuntil(b"one")
        server.terminate()
        rest = (await running.read()).decode()
    last = json.loads(rest.strip().rpartition("data: ")[2])
    assert last["type"] == "error" and last["error"]["type"] == "overloaded_error"


async def test_image_of_five_megabytes_passes_only_with_a_raised_limit(client_of: ClientOf, upstream: Upstream) -> None:
    data = "A" * 5_000_000
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    asked: dict[str, Any] = {**ASKED, "messages": [{"role": "user", "content": [image]}]}
    tables = provider_at("chat", upstream.url)
    with pytest.raises(anthropic.APIStatusError) as caught:
        await (await client_of(tables)).messages.create(**asked)
    body: Any = caught.value.body
    assert caught.value.status_code == 413 and body["error"]["type"] == "request_too_large"
    raised = await client_of({**tables, "limits": {"max_body_bytes": 8_000_000}})
    await raised.messages.create(**asked)
    (part,) = upstream.exchanges[0].json()["messages"][0]["content"]
    assert part["image_url"]["url"] == f"data:image/png;base64,{data}"
