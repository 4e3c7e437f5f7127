"""No words in the logs: marked prompts, tokens and keys go through every outcome, and none is found."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from providers.echo import FAIL_CODES
from tests.conftest import StartServer, StartUpstream
from tests.support.client import RawStream, stream_url
from tests.support.upstream import DONE, Exchange, chunk, usage_chunk

PROMPT = "mArKpRoMpT"
TOKEN = "mArKtOkEn"
KEY = "mArKkEy"
USER_KEY = "mArKuSeRkEy"
MARKS = (PROMPT, TOKEN, KEY, USER_KEY)

SAID = f"{PROMPT} {KEY} is wrong"
ERROR = f'{{"error": {{"message": "{SAID}", "type": "{SAID}", "code": null, "param": "{PROMPT}!"}}}}'


async def whole(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk(TOKEN) + chunk(finish="stop") + usage_chunk(3, 1) + DONE)


async def cut(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk(TOKEN))


async def malformed_response(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk(TOKEN) + f"data: {{{TOKEN} {PROMPT}\n\n")


async def no_http(exchange: Exchange) -> None:
    await exchange.send(f"{TOKEN} {PROMPT} {KEY}\r\n\r\n")


async def reset(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk(TOKEN))
    exchange.reset()


async def in_band(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk(TOKEN) + f"data: {ERROR}\n\n")


async def hang(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk(TOKEN))
    await exchange.until_closed(60)


def refusing(status: int) -> object:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(status, ERROR, extra=f"x-request-id: {KEY} {PROMPT}\r\nLocation: /{KEY}/{PROMPT}\r\n")

    return script


SCRIPTS = [
    whole,
    cut,
    malformed_response,
    no_http,
    reset,
    in_band,
    hang,
    *map(refusing, (302, 400, 401, 404, 429, 500)),
]


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_no_outcome_leaves_a_word_or_a_key_in_the_log(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession, log_format: str
) -> None:
    upstream = await start_upstream(whole)
    up = {"model": "m", "base_url": upstream.url + "/v1", "api_key_env": "UP_KEY"}
    server = await start_server(
        {
            "provider": {"default": "up"},
            "providers": {
                "up": {"kind": "openai", **up},
                "claude": {"kind": "anthropic", **up},
                **{f"e-{code}": {"kind": "echo", "fail_after": 1, "fail_code": code} for code in FAIL_CODES},
            },
            "timeouts": {"idle": 0.3, "first_token": 3},
            "retry": {"attempts": 1},
            "log": {"level": "DEBUG", "format": log_format},
        },
        environ={"UP_KEY": KEY, "STREAMSERVER_KEYS": f"anna:{USER_KEY}"},
        crashes=True,
    )
    headers = {"X-API-Key": USER_KEY}
    outcomes = 0
    for provider in ("up", "claude"):
        for script in SCRIPTS:
            upstream.script = script
            async with http.get(stream_url(server.url, PROMPT, provider=provider), headers=headers) as response:
                body = await response.text()
                assert response.status == 200
                outcomes += 1
                if TOKEN not in body:
                    assert all(mark not in body for mark in MARKS), "a provider's words reach no client"
    asked = {"messages": [{"role": "user", "content": PROMPT}], "stream": True}
    for script in SCRIPTS:
        upstream.script = script
        async with http.post(
            f"{server.url}/v1/chat/completions", json={"model": "up", **asked}, headers=headers
        ) as response:
            body = await response.text()
            outcomes += 1
            if TOKEN not in body:
                assert all(mark not in body for mark in MARKS), "a provider's words reach no client"
    for code in FAIL_CODES:
        async with http.get(stream_url(server.url, f"{PROMPT} b", provider=f"e-{code}"), headers=headers) as response:
            assert f'"code":"{code}"' in await response.text()
            outcomes += 1
    upstream.script = hang
    stream = await RawStream.request(server.port, f"/api/chat/stream?prompt={PROMPT}", headers=headers)
    await (await stream.head()).events(2)
    stream.close()
    outcomes += 1
    for target, extra in (
        (f"/api/chat/stream?prompt={PROMPT}&{PROMPT}=1", {}),
        (f"/api/chat/stream?prompt={PROMPT}&provider={KEY}", {}),
        (f"/{PROMPT}?key={KEY}", {"X-API-Key": USER_KEY + "x", "X-Request-ID": f"{PROMPT} {KEY}"}),
        (f"/api/chat/streams/{PROMPT}?last_event_id={PROMPT}", {}),
        (f"/{PROMPT * 10_000}", {}),
        (f"/{PROMPT} {KEY} HTTP/9\r\n{PROMPT}", {}),
        ("/", {PROMPT: KEY * 20_000}),
    ):
        stream = await RawStream.request(server.port, target, headers={**headers, **extra})
        await stream.head()
        stream.close()
    async with asyncio.timeout(60):
        while server.log.count("status=" if log_format == "text" else '"event":"stream"') < outcomes:
            await asyncio.sleep(0.02)
    shown = ""
    for path in ("/metrics", "/openapi.json", "/api/providers"):
        async with http.get(server.url + path, headers=headers) as response:
            shown += await response.text()
    server.terminate()
    assert await server.wait() == 0
    for mark in MARKS:
        assert mark not in server.log
        assert mark not in shown
    assert "?" not in server.log, "no query string"


async def test_the_record_has_the_contracts_fields(
    start_server: StartServer, start_upstream: StartUpstream, http: aiohttp.ClientSession
) -> None:
    server = await start_server()
    async with http.get(stream_url(server.url), headers={"X-Request-ID": "my-id.1_2"}) as response:
        assert response.headers["X-Request-ID"] == "my-id.1_2"
        stream_id = response.headers["X-Stream-ID"]
        await response.read()
    record = await server.record()
    expected = {
        "event": "stream", "request_id": "my-id.1_2", "stream_id": stream_id[:6], "user": None, "provider": "echo",
        "model": "echo", "status": "done", "finish_reason": "stop", "attempts": 1, "prompt_tokens": 3,
        "completion_tokens": 3, "total_tokens": 6, "estimated": False,
    }  # fmt: skip
    assert {name: record[name] for name in expected} == expected
    assert 0 <= record["ttft_ms"] <= record["duration_ms"]
    await server.record()
    assert len(server.records()) == 1, "one record a stream"
    assert stream_id not in server.log, "the whole id suffices to read the stream"


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing", "/api/chat/stream?prompt=hello", "/api/chat/stream"])
async def test_no_answer_says_which_versions_it_runs_on(
    start_server: StartServer, http: aiohttp.ClientSession, path: str
) -> None:
    server = await start_server()
    async with http.get(f"{server.url}{path}") as response:
        assert response.headers["Server"] == "streamserver"
