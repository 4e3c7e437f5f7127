"""What OpenAI's SDK makes of failures at each stage, and how often it asks again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from tests.chat.conftest import ClientOf
from tests.conftest import StartServer, StartUpstream
from tests.messages.upstreams import provider_at
from tests.support.upstream import DONE, Exchange, Script, Upstream, answer, chunk

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
ONCE = {"retry": {"attempts": 1}}


def refuses(status: int, code: str | None = None, extra: str = "") -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, json.dumps({"error": {"message": "no", "type": "t", "code": code}}), extra=extra)

    return script


async def breaks_off(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("one"))


async def create(client: openai.AsyncOpenAI, *, streamed: bool = False, **fields: Any) -> Any:
    asked: dict[str, Any] = {"model": "up", "messages": HELLO, "stream": streamed, **fields}
    response = await client.chat.completions.create(**asked)
    return [chunk async for chunk in response] if streamed else response


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("script", "status", "code", "requests"),
    [
        (refuses(429, extra="Retry-After: 0\r\n"), 429, "rate_limit_exceeded", 3),
        (refuses(429, "insufficient_quota"), 429, "insufficient_quota", 1),
        (refuses(429, extra="Retry-After: 3600\r\n"), 429, "rate_limit_exceeded", 1),
        (refuses(401), 502, "provider_auth", 1),
        (refuses(400), 400, None, 1),
        (refuses(400, "context_length_exceeded"), 400, "context_length_exceeded", 1),
        (refuses(404, "model_not_found"), 404, "model_not_found", 1),
        (refuses(500), 500, "upstream_error", 3),
    ],
    ids=["rate limit", "quota", "long wait", "bad key of ours", "bad request", "too long", "no model", "error"],
)
async def test_failure_before_the_first_token_is_a_status_and_retried_only_if_that_can_help(
    client_of: ClientOf,
    start_upstream: StartUpstream,
    script: Script,
    status: int,
    code: str | None,
    requests: int,
    streamed: bool,
) -> None:
    upstream: Upstream = await start_upstream(script)
    client = await client_of({**provider_at("chat", upstream.url), **ONCE}, max_retries=2)
    with pytest.raises(openai.APIStatusError) as caught:
        await create(client, streamed=streamed)
    error = caught.value
    assert (error.status_code, error.code, error.request_id is None) == (status, code, False)
    assert isinstance(error.body, dict) and error.body.keys() == {"message", "type", "param", "code"}
    assert len(upstream.exchanges) == requests


async def test_failure_after_the_first_token_is_an_error_in_a_stream_and_a_status_without_one(
    client_of: ClientOf, start_upstream: StartUpstream
) -> None:
    upstream: Upstream = await start_upstream(breaks_off)
    client = await client_of({**provider_at("chat", upstream.url), **ONCE})
    stream = await client.chat.completions.create(model="up", messages=HELLO, stream=True)
    assert (await anext(stream)).choices[0].delta.content == "one"
    with pytest.raises(openai.APIError) as caught:
        await anext(stream)
    assert (caught.value.code, caught.value.type) == ("upstream_disconnected", "server_error")
    with pytest.raises(openai.APIStatusError) as failed:
        await create(client)
    assert (failed.value.status_code, failed.value.code) == (502, "upstream_disconnected")


async def test_silence_of_a_provider_is_a_timeout(client_of: ClientOf, start_upstream: StartUpstream) -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.until_closed(60)

    upstream: Upstream = await start_upstream(silent)
    tables = {**provider_at("chat", upstream.url), **ONCE, "timeouts": {"first_token": 0.2}}
    with pytest.raises(openai.APIStatusError) as caught:
        await create(await client_of(tables), streamed=True)
    assert (caught.value.status_code, caught.value.code) == (504, "timeout")


async def test_errors_without_a_handler_have_the_form_of_the_wire(client_of: ClientOf) -> None:
    tables = {"provider": {"default": "up"}, "providers": {"up": {"kind": "openai", "model": "m"}}}
    client = await client_of(tables, environ={"STREAMSERVER_KEYS": "anna:key-of-anna-1234"}, key="key-of-anna-1234")
    cases: list[tuple[str, str, int, str]] = [
        ("POST", "/nothing", 404, "not_found"),
        ("DELETE", "/chat/completions", 405, "method_not_allowed"),
    ]
    for method, path, status, code in cases:
        with pytest.raises(openai.APIStatusError) as caught:
            await (client.post if method == "POST" else client.delete)(path, cast_to=object)
        assert (caught.value.status_code, caught.value.code) == (status, code)
    with pytest.raises(openai.AuthenticationError) as refused:
        await create(client.with_options(api_key="wrong"))
    assert (refused.value.code, refused.value.type) == ("invalid_api_key", "invalid_request_error")
    with pytest.raises(openai.NotFoundError) as unknown:
        await create(client, model="gone")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"n": 0}, "n"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_completion_tokens": 10**6, "max_tokens": 1}, "max_completion_tokens"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"tools": {}}, "tools"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_wrong_field_is_named(client_of: ClientOf, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await create(await client_of(), **{"model": "echo", **fields})
    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")


async def test_own_limit_says_when_to_try_again(client_of: ClientOf) -> None:
    client = await client_of({"limits": {"requests_per_minute": 1}})
    await create(client, model="echo")
    with pytest.raises(openai.RateLimitError) as caught:
        await create(client, model="echo")
    assert caught.value.code == "rate_limit_exceeded" and int(caught.value.response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("streamed", [True, False])
async def test_provider_is_let_go_when_the_client_leaves(
    client_of: ClientOf, start_upstream: StartUpstream, streamed: bool
) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.start_stream()
        while True:
            await exchange.send(chunk("x"))
            await asyncio.sleep(0.05)

    upstream: Upstream = await start_upstream(endless)
    client = await client_of(provider_at("chat", upstream.url))
    if streamed:
        stream = await client.chat.completions.create(model="up", messages=HELLO, stream=True)
        await anext(stream)
        await stream.close()
    else:
        asking = asyncio.create_task(create(client))
        await upstream.exchange()
        asking.cancel()
    await (await upstream.exchange()).until_closed()


async def test_client_that_closes_after_the_end_marker_is_no_cancel(
    start_server: StartServer, start_upstream: StartUpstream
) -> None:
    upstream: Upstream = await start_upstream(answer("one", "two"))
    server = await start_server(provider_at("chat", upstream.url))
    client = openai.AsyncOpenAI(api_key="unused", base_url=f"{server.url}/v1")
    async with client, await client.chat.completions.create(model="up", messages=HELLO, stream=True) as stream:
        async for each in stream:
            if each.choices[0].finish_reason:
                break
    record = await server.record()
    assert (record["status"], record["wire"]) == ("done", "chat")


async def test_answer_is_replayed_to_the_same_key(client_of: ClientOf, start_upstream: StartUpstream) -> None:
    upstream: Upstream = await start_upstream(answer("one", "two"))
    client = await client_of(provider_at("chat", upstream.url))
    headers = {"Idempotency-Key": "key-0001"}
    first, again = [await create(client, streamed=True, extra_headers=headers) for _ in range(2)]
    assert [each.to_dict() for each in first] == [each.to_dict() for each in again]
    assert len(upstream.exchanges) == 1
    with pytest.raises(openai.APIStatusError) as caught:
        await create(client, streamed=True, temperature=1, extra_headers=headers)
    assert (caught.value.status_code, len(upstream.exchanges)) == (400, 1)


async def test_stream_can_be_read_on_natively_within_its_grace(
    start_server: StartServer, start_upstream: StartUpstream
) -> None:
    more = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one"))
        await more.wait()
        await exchange.send(chunk("two") + chunk(finish="stop") + DONE)

    upstream: Upstream = await start_upstream(slow)
    server = await start_server(provider_at("chat", upstream.url))
    async with openai.AsyncOpenAI(api_key="unused", base_url=f"{server.url}/v1") as client:
        stream = await client.chat.completions.create(
            model="up", messages=HELLO, stream=True, extra_headers={"X-Stream-Grace": "20"}
        )
        await anext(stream)
        stream_id = stream.response.headers["X-Stream-ID"]
        await stream.close()
        more.set()
        response = await client._client.get(f"{server.url}/api/chat/streams/{stream_id}")
    assert "data: one" in response.text and "data: two" in response.text and "event: done" in response.text
